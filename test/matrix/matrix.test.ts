// The exhaustive matrix (DESIGN section 7): every step of the engine's registry, however it goes, with whatever else happens
// meanwhile. The number printed is the product of the axes, and exactly so many cases are played.

import assert from 'node:assert/strict';
import test from 'node:test';
import { STEPS, type StepName } from '../../src/core/steps.ts';
import { BEHAVIOURS, type Case, casesOf, DISTURBANCES, filterOf, MOMENTS, nameOf, PLACES, PORTS } from './axes.ts';
import { SCENES, type Scene } from './scenes.ts';
import { type Played, Stage, type Timing } from './stage.ts';

const SHOWN = Number(process.env.SHOWN ?? 6);
const filter = process.env.MATRIX;
const wanted = filterOf(filter);
const steps = Object.keys(STEPS) as StepName[];
const scenes = steps.flatMap((step) =>
  Object.entries(SCENES[step]).map(([name, scene]) => ({ step, name: `${step}/${name}`, scene })),
);
let run = 0;

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);

async function play(it: Case, step: StepName, scene: Scene, timing: Timing): Promise<Played> {
  const played = await new Stage(it, step, scene, timing).play();
  // Node tells of a rejection that nobody handles once the turn is over.
  for (const reason of unhandled.splice(0)) {
    played.violations.push(`unhandled rejection: ${reason instanceof Error ? reason.message : String(reason)}`);
  }
  return played;
}

const UNTIMED: Timing = { leadMs: 0, boundMs: 0 };
const timings = new Map<string, Timing>();

/** When the step begins after the first borrower has asked, and its bound: found by playing the case undisturbed. */
async function timingOf(it: Case, step: StepName, scene: Scene): Promise<Timing> {
  const key = [it.scene, it.place].join();
  let timing = timings.get(key);
  if (timing === undefined) {
    const plain: Case = { ...it, behaviour: 'ok', ports: 'inert', disturbance: 'nothing', moment: 'begin' };
    timing = (await play(plain, step, scene, UNTIMED)).timing;
    timings.set(key, timing);
  }
  return timing;
}

interface Group {
  readonly title: string;
  readonly cases: number;
  readonly failed: string[];
}

async function playGroup(title: string, cases: readonly Case[], step: StepName, scene: Scene): Promise<Group> {
  const failed: string[] = [];
  for (const it of cases) {
    const timing = it.disturbance === 'timeout' ? await timingOf(it, step, scene) : UNTIMED;
    const { violations } = await play(it, step, scene, timing);
    run += 1;
    if (violations.length > 0) failed.push(`MATRIX='${nameOf(it)}'\n    ${violations.join('\n    ')}`);
  }
  return { title, cases: cases.length, failed };
}

/**
 * All cases are played before the test runner is called for the first time: it follows every promise, which would double the time,
 * and ends a whole test at an unhandled rejection without saying in which case that was.
 */
async function playAll(): Promise<Group[]> {
  const groups: Group[] = [];
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  process.on('unhandledRejection', note);
  for (const { step, name, scene } of scenes) {
    for (const behaviour of BEHAVIOURS) {
      for (const ports of PORTS) {
        const cases = casesOf(name, behaviour, ports).filter(wanted);
        if (cases.length === 0) continue;
        const title = `${name} that goes ${behaviour}, with ${ports} ports: nothing lost, nobody starved, nothing left`;
        groups.push(await playGroup(title, cases, step, scene));
      }
    }
  }
  process.off('unhandledRejection', note);
  Error.stackTraceLimit = limit;
  return groups;
}

const groups = await playAll();

test('every step of the registry has a scene, and no scene is of any other', () => {
  assert.deepEqual(Object.keys(SCENES).sort(), [...steps].sort());
  for (const step of steps) assert.ok(Object.keys(SCENES[step]).length > 0, `${step} has no scene`);
});

for (const { title, cases, failed } of groups) {
  test(title, () => {
    const more = failed.length > SHOWN ? `\n  … and ${failed.length - SHOWN} more` : '';
    const text = `${failed.length} of ${cases} cases failed\n  ${failed.slice(0, SHOWN).join('\n  ')}${more}`;
    assert.equal(failed.length, 0, text);
  });
}

test('exactly the product of the axes was played', () => {
  const axes = [scenes, BEHAVIOURS, DISTURBANCES, MOMENTS, PLACES, PORTS];
  const product = axes.reduce((all, axis) => all * axis.length, 1);
  console.log(
    `matrix: ${steps.length} steps in ${scenes.length} scenes × ${BEHAVIOURS.length} behaviours × ${DISTURBANCES.length} ` +
      `disturbances × ${MOMENTS.length} moments × ${PLACES.length} places × ${PORTS.length} ports ` +
      `= ${product} cases, ${run} run`,
  );
  if (filter === undefined) assert.equal(run, product);
  else assert.ok(run > 0, `no case is called ${filter}`);
});
