// What else happens while a step is under way: one entry per disturbance of the axis, and a newcomer who asks right after.

import type { DisturbanceName } from './axes.ts';
import type { Stage } from './stage.ts';

const BLOCK_MS = 2_000;
const SLEEP_MS = 60_000;
const PAUSE_MS = 700;

function pause(stage: Stage, borrowers: 'wait' | 'reject'): void {
  const { engine, clock } = stage.rig;
  if (borrowers === 'reject') stage.borrowers.excuses.paused = true;
  if (engine.phase === 'open') stage.promise('pause()', engine.pause(borrowers));
  clock.timer(PAUSE_MS, () => engine.resume());
}

const DISTURBANCE: Readonly<Record<DisturbanceName, (stage: Stage) => void>> = {
  nothing: () => {},
  abort: (stage) => stage.aborter.abort(new Error('the first has gone')),
  // The first borrower's deadline is set for this moment.
  timeout: () => {},
  kill: (stage) => (stage.subject?.alive === true ? stage.subject : stage.rig.driver.alive[0])?.kill(),
  close: (stage) => stage.close({ drainMs: 0, cancelMs: 300, waiting: 'reject' }),
  drain: (stage) => stage.close({ drainMs: 25_000, cancelMs: 300, waiting: 'serve' }),
  pause: (stage) => pause(stage, 'wait'),
  'pause-reject': (stage) => pause(stage, 'reject'),
  resize: ({ rig }) => rig.engine.resize(0, 1),
  replace: (stage) => stage.promise('replaceAll()', stage.rig.engine.replaceAll(0)),
  trim: (stage) => stage.promise('trim()', stage.rig.engine.trim(0)),
  check: (stage) => stage.promise('check()', stage.rig.engine.check(Infinity)),
  block: (stage) => stage.block(BLOCK_MS),
  sleep: ({ rig }) => rig.clock.sleep(SLEEP_MS),
};

export function disturb(stage: Stage): void {
  DISTURBANCE[stage.it.disturbance](stage);
  // As soon as whoever is at work has done its turn: from inside somebody's call nobody can ask behind that call.
  queueMicrotask(() => stage.borrowers.ask('a newcomer', { timeoutMs: stage.deadlineMs }));
}
