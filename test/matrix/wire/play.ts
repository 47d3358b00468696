// The exhaustive matrix of the driver (DESIGN section 7): every step of its registry on a genuine pg.Client over a scripted wire, however
// it goes, with whatever else happens meanwhile. Owns how the cases are played and told of; two files share them. The number printed is
// the product of the axes, and exactly so many cases are played.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PG_STEPS, type PgStepName } from '../../../src/pg/steps.ts';
import { filterOf } from '../axes.ts';
import { BEHAVIOURS, type Case, casesOf, DISTURBANCES, MOMENTS, nameOf, PLACES } from './axes.ts';
import { SCENES, type Scene } from './scenes.ts';
import { Stage } from './stage.ts';

const SHOWN = Number(process.env.SHOWN ?? 6);
const filter = process.env.WIRE;
const wanted = filterOf(filter);
let run = 0;
/** Who spoke for the queries of all cases. */
let byCodec = 0;
let byPg = 0;

/** Which of the two files plays a step: what leads to an answer, and what ends a statement or a connection. */
const HALVES: Readonly<Record<PgStepName, 'asking' | 'ending'>> = {
  settings: 'asking',
  connect: 'asking',
  pooler: 'asking',
  query: 'asking',
  reply: 'ending',
  cancel: 'ending',
  gone: 'ending',
};

interface Named {
  readonly name: string;
  readonly scene: Scene;
}

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
const leads = new Map<string, number>();

/** When the step begins after the first has asked: found by playing the case undisturbed. */
async function leadOf(it: Case, scene: Scene): Promise<number> {
  const key = [it.scene, it.place].join();
  let lead = leads.get(key);
  if (lead === undefined) {
    lead = await new Stage({ ...it, behaviour: 'ok', disturbance: 'nothing', moment: 'begin' }, scene, 0).play();
    leads.set(key, lead);
  }
  return lead;
}

async function play(it: Case, scene: Scene): Promise<string[]> {
  const stage = new Stage(it, scene, it.disturbance === 'timeout' ? await leadOf(it, scene) : 0);
  await stage.play();
  const { queriesByCodec = 0, queriesByPg = 0 } = stage.pool.stats();
  byCodec += queriesByCodec;
  byPg += queriesByPg;
  // Node tells of a rejection that nobody handles once the turn is over.
  for (const reason of unhandled.splice(0)) {
    stage.complain(`unhandled rejection: ${reason instanceof Error ? reason.message : String(reason)}`);
  }
  return stage.violations;
}

interface Group {
  readonly title: string;
  readonly cases: number;
  readonly failed: string[];
}

async function playGroup(title: string, cases: readonly Case[], scene: Scene): Promise<Group> {
  const failed: string[] = [];
  for (const it of cases) {
    const violations = await play(it, scene);
    run += 1;
    if (violations.length > 0) failed.push(`WIRE='${nameOf(it)}'\n    ${violations.join('\n    ')}`);
  }
  return { title, cases: cases.length, failed };
}

/** Before the test runner is called for the first time: it follows every promise, and ends a whole test at an unhandled rejection. */
async function playAll(scenes: readonly Named[]): Promise<Group[]> {
  const groups: Group[] = [];
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  process.on('unhandledRejection', note);
  for (const { name, scene } of scenes) {
    for (const behaviour of BEHAVIOURS) {
      const cases = casesOf(name, behaviour).filter(wanted);
      if (cases.length === 0) continue;
      const title = `${name} that goes ${behaviour} on the wire: nothing lost, nobody starved, nothing left`;
      groups.push(await playGroup(title, cases, scene));
    }
  }
  process.off('unhandledRejection', note);
  Error.stackTraceLimit = limit;
  return groups;
}

/** Plays and registers a half; returns the test that all of it was played. */
export async function playHalf(half: 'asking' | 'ending'): Promise<() => void> {
  const steps = (Object.keys(PG_STEPS) as PgStepName[]).filter((step) => HALVES[step] === half);
  const scenes = steps.flatMap((step) =>
    Object.entries(SCENES[step]).map(([name, scene]) => ({ name: `${step}/${name}`, scene })),
  );
  const groups = await playAll(scenes);

  test(`every step of ${half} has a scene`, () => {
    for (const step of steps) assert.ok(Object.keys(SCENES[step]).length > 0, `${step} has no scene`);
    assert.deepEqual(Object.keys(SCENES).sort(), Object.keys(PG_STEPS).sort());
  });

  for (const { title, cases, failed } of groups) {
    test(title, () => {
      const more = failed.length > SHOWN ? `\n  … and ${failed.length - SHOWN} more` : '';
      const text = `${failed.length} of ${cases} cases failed\n  ${failed.slice(0, SHOWN).join('\n  ')}${more}`;
      assert.equal(failed.length, 0, text);
    });
  }

  return () => {
    const axes = [scenes, BEHAVIOURS, DISTURBANCES, MOMENTS, PLACES];
    const product = axes.reduce((all, axis) => all * axis.length, 1);
    console.log(
      `wire, ${half}: ${steps.length} steps in ${scenes.length} scenes × ${BEHAVIOURS.length} behaviours × ${DISTURBANCES.length} ` +
        `disturbances × ${MOMENTS.length} moments × ${PLACES.length} places = ${product} cases, ${run} run`,
    );
    console.log(`queries spoken by the codec: ${byCodec}, by pg: ${byPg}`);
    if (filter !== undefined) return;
    assert.equal(run, product);
    if (process.env.WIRE_SPEAKER === 'pg') assert.equal(byCodec, 0);
    else assert.ok(byCodec > 10 * byPg, 'the codec speaks for nearly all');
  };
}
