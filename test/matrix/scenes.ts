// How the engine is led into each of its steps. Owns one or more scenes per step of the registry: the pool's settings, what
// comes before, and what makes the step begin. `Record<StepName, …>` makes a new step fail to compile until it has one.

import type { Settings } from '../../src/core/household.ts';
import type { StepName } from '../../src/core/steps.ts';
import type { Behaviour } from '../../src/testing/scripted-driver.ts';
import type { ScriptedLease } from '../kit/rig.ts';
import type { BudgetScene } from './scripted-ports.ts';
import type { Stage } from './stage.ts';

export interface Scene {
  readonly settings?: Partial<Settings>;
  /** The floor is as high as the ceiling. */
  readonly full?: boolean;
  /** Which of the user's hooks are there. */
  readonly hooks?: readonly ('configure' | 'check' | 'reset')[];
  /** What the budget that it shares does; without it there is one only with scripted ports, and that has plenty. */
  readonly budget?: BudgetScene;
  /** What fails in the step cannot heal. */
  readonly permanent?: boolean;
  /** Holds are looked at this often. */
  readonly holdMs?: number;
  /** How the step answers, beside what the behaviour says. */
  readonly answer?: Partial<Behaviour>;
  /** The pool is closed by the scene itself. */
  readonly closes?: boolean;
  /** Up to the moment before. What it returns is the lease that `act` works with. */
  before?(stage: Stage): Promise<ScriptedLease>;
  /** Makes the step begin and queues two borrowers, in whatever order the scene needs. */
  act(stage: Stage, lease: ScriptedLease | undefined): void;
}

/** A scene about a borrower for whom a connection has to be made or checked. */
const forBorrower = (scene: Omit<Scene, 'act'> = {}): Scene => ({ ...scene, act: (stage) => stage.queueTwo() });

/** A scene about how a lease is given back while two wait. */
function onReturn(
  give: (lease: ScriptedLease, stage: Stage) => void,
  scene: Omit<Scene, 'act' | 'before'> = {},
): Scene {
  return {
    ...scene,
    before: (stage) => stage.obtain(),
    act: (stage, lease) => {
      stage.queueTwo();
      if (lease !== undefined) give(lease, stage);
    },
  };
}

/** Something comes back while a new connection still has to prove its permit. */
const OUTRUN_MS = 300;

const SILENT_MS = 2_000;

/** A scene about a statement from which nothing is heard, while two wait; its borrower gives up after a while. */
function whileSilent(scene: Omit<Scene, 'act' | 'before'> = {}): Scene {
  return onReturn(
    (lease, stage) => {
      lease.session.status = 'busy';
      stage.rig.clock.timer(3 * SILENT_MS, () => {
        if (!lease.released) lease.release();
      });
    },
    { ...scene, settings: { silentAfterMs: SILENT_MS }, holdMs: SILENT_MS / 4 },
  );
}

export const SCENES: Readonly<Record<StepName, Readonly<Record<string, Scene>>>> = {
  permit: {
    waiter: forBorrower({ budget: { exhausted: true } }),
    refused: forBorrower({ budget: { exhausted: true, refuses: true } }),
    // Somebody waits here, and others have had less: the connection that comes back is theirs.
    yielded: onReturn((lease) => lease.release(), { budget: { exhausted: true, pressure: 1 } }),
  },
  admit: {
    waiter: forBorrower({ budget: { proves: true } }),
    floor: {
      before: (stage) => stage.obtain(),
      full: true,
      budget: { proves: true },
      act: (stage, lease) => {
        lease?.session.kill();
        stage.queueTwo();
      },
    },
    // What comes back meanwhile serves both of them, and then the new one is wanted no longer.
    outrun: {
      settings: { max: 4 },
      budget: { proves: true },
      before: (stage) => stage.obtain(),
      act: (stage, lease) => {
        stage.queueTwo();
        stage.rig.clock.timer(OUTRUN_MS, () => {
          if (lease?.released === false) lease.release();
        });
      },
    },
    refused: forBorrower({ budget: { proves: true, refuses: true } }),
    permanent: forBorrower({ budget: { proves: true }, permanent: true }),
  },
  open: {
    waiter: forBorrower(),
    floor: {
      before: (stage) => stage.obtain(),
      // The one that dies belongs to the floor: it is replaced before anybody asks.
      full: true,
      act: (stage, lease) => {
        lease?.session.kill();
        stage.queueTwo();
      },
    },
    yielded: onReturn((lease) => lease.release(), { budget: { pressure: 1 } }),
  },
  abandon: {
    'connect-timeout': forBorrower(),
  },
  configure: {
    'on-connect': forBorrower({ hooks: ['configure'] }),
    'once-proven': forBorrower({ hooks: ['configure'], budget: { proves: true } }),
    'after-discard': onReturn((lease) => lease.release(), { hooks: ['configure'], settings: { reset: 'discard' } }),
  },
  ping: {
    stale: forBorrower({
      before: async (stage) => {
        const lease = await stage.obtain();
        lease.release();
        await stage.pass(1_500);
        return lease;
      },
    }),
    suspect: forBorrower({
      before: async (stage) => {
        const lease = await stage.obtain();
        lease.release();
        await stage.pass(20);
        // The first look at both clocks is what the second is compared with.
        (await stage.obtain()).release();
        await stage.pass(20);
        stage.rig.clock.sleep(60_000);
        return lease;
      },
    }),
  },
  check: {
    custom: forBorrower({
      hooks: ['check'],
      settings: { check: 'custom' },
      before: async (stage) => {
        const lease = await stage.obtain();
        lease.release();
        await stage.pass(0);
        return lease;
      },
    }),
  },
  settle: {
    'on-return': onReturn((lease) => {
      lease.session.status = 'busy';
      lease.release();
    }),
    'on-close': onReturn(
      (lease, stage) => {
        lease.session.status = 'busy';
        stage.close({ drainMs: 0, cancelMs: 300, waiting: 'reject' });
      },
      { closes: true },
    ),
  },
  rollback: {
    transaction: onReturn((lease) => {
      lease.session.status = 'transaction';
      lease.release();
    }),
    failed: onReturn((lease) => {
      lease.session.status = 'failed';
      lease.release();
    }),
  },
  discard: {
    'on-return': onReturn((lease) => lease.release(), { settings: { reset: 'discard' } }),
  },
  restore: {
    'on-return': onReturn(
      (lease) => {
        lease.session.dirty = true;
        lease.release();
      },
      { settings: { reset: 'tracked' } },
    ),
    'in-transaction': onReturn(
      (lease) => {
        lease.session.dirty = true;
        lease.session.status = 'transaction';
        lease.release();
      },
      { settings: { reset: 'tracked' }, hooks: ['configure'] },
    ),
  },
  inquire: {
    'still-working': whileSilent({ answer: { doing: 'working' } }),
    'gone-there': whileSilent({ answer: { doing: 'gone' } }),
  },
  probe: {
    'nobody-idle': whileSilent(),
  },
  reset: {
    'on-return': onReturn((lease) => lease.release(), { hooks: ['reset'], settings: { reset: 'custom' } }),
  },
  end: {
    'on-return': onReturn((lease) => lease.release(true)),
    yielded: onReturn((lease) => lease.release(), { budget: { pressure: 1 } }),
  },
  destroy: {
    'on-return': onReturn((lease) => {
      lease.session.status = 'busy';
      lease.release(true);
    }),
    lost: onReturn((lease) => lease.session.kill()),
  },
};
