// Runs many sequences and says what they reached. Owns the seed, the replay and how a counterexample is shown.
//
//   MODEL_SEED=n     another seed (default: a fixed one, so that two runs are the same run; `random` draws one)
//   MODEL_PATH=p     with the seed of a failure: goes straight to its shrunk sequence and tells each step
//   MODEL_RUNS=n     how many sequences
//   MODEL_QUICK=1    the first counterexample as it is, not shrunk

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { type Command, line, type Setup, SHORTEST, scene } from './commands.ts';
import { Coverage, count, MoveSpy, type Reason } from './coverage.ts';
import { World } from './world.ts';

/** In each of the two files; the rows below must hold for each half. */
const RUNS = 12_000;
const FULL_LENGTH = 10_000;
const EACH_AT_LEAST = 100;

interface Options {
  readonly seed: number;
  readonly path: string | undefined;
  readonly runs: number;
  readonly quick: boolean;
}

function options(defaultSeed: number): Options {
  const { MODEL_SEED, MODEL_PATH, MODEL_RUNS, MODEL_QUICK } = process.env;
  const seed =
    MODEL_SEED === undefined ? defaultSeed : MODEL_SEED === 'random' ? randomInt(2 ** 31) : Number(MODEL_SEED);
  return {
    seed,
    path: MODEL_PATH,
    runs: MODEL_RUNS === undefined ? RUNS : Number(MODEL_RUNS),
    quick: MODEL_QUICK === '1',
  };
}

/** Thrown for what the reference complains of. */
class Violation extends Error {}

export async function run(
  drawn: Setup,
  commands: readonly Command[],
  coverage: Coverage,
  tell: boolean,
): Promise<void> {
  const spy = new MoveSpy(coverage);
  const world = new World(drawn);
  const { reference } = world;
  const demand = (where: () => string): void => {
    if (tell) console.log(`${world.clock.now()} ${where()}: ${standing(world)}`);
    if (reference.complaints.length > 0) throw new Violation(`${where()}: ${reference.complaints.join('; ')}`);
  };
  try {
    for (const [index, command] of commands.entries()) {
      await world.perform(command);
      count(coverage.commands, command.do);
      demand(() => `after command ${index + 1}, ${line(command)}`);
    }
    await world.finish();
    demand(() => 'at the end');
  } finally {
    spy.undo();
  }
  coverage.sequences += 1;
  coverage.performed += commands.length;
  coverage.granted += reference.granted;
  if (commands.length >= SHORTEST && world.peakBorrowers >= 3) coverage.crowded += 1;
  for (const [reason, times] of reference.refused) count(coverage.refusals, reason satisfies Reason, times);
  for (const [name, times] of reference.happened) count(coverage.happenings, name, times);
  for (const [reason, times] of Object.entries(world.engine.stats().retired)) count(coverage.retired, reason, times);
}

function standing(world: World): string {
  const s = world.engine.snapshot();
  const { opening, idle, lent, returning, closing, waiting } = s;
  const { sockets } = world.driver;
  return `${s.phase} ${s.min}..${s.max} ${JSON.stringify({ opening, idle, lent, returning, closing, waiting, sockets })}`;
}

/**
 * Draws the sequences of one half; the result asserts that they kept every rule and reached everything. To be called outside
 * a test: inside one each promise costs several times as much, since the runner follows them all.
 */
export async function explore(half: string, defaultSeed: number): Promise<() => void> {
  const { seed, path, runs, quick } = options(defaultSeed);
  const coverage = new Coverage();
  const replay = path !== undefined;
  const property = fc.asyncProperty(scene, ([drawn, commands]) => run(drawn, commands, coverage, replay));
  const { stackTraceLimit } = Error;
  // A stack is costly and says nothing here; a replay has them.
  if (!replay) Error.stackTraceLimit = 0;
  const result = await fc.check(property, {
    seed,
    numRuns: runs,
    endOnFailure: replay || quick,
    ...(replay ? { path } : {}),
  });
  Error.stackTraceLimit = stackTraceLimit;
  return () => {
    if (result.failed) assert.fail(failure(half, result));
    console.log(`${half}: seed ${seed}\n${coverage.table()}`);
    if (runs < RUNS) return;
    assert.ok(coverage.crowded >= FULL_LENGTH, `${coverage.crowded} sequences of full length with three borrowers`);
    for (const [name, times] of [...coverage.moves, ...coverage.refusals, ...coverage.happenings]) {
      assert.ok(times >= EACH_AT_LEAST, `${name}: reached ${times} times`);
    }
  };
}

function failure(half: string, result: fc.RunDetails<[[Setup, Command[]]]>): string {
  const [drawn, commands] = result.counterexample?.[0] ?? [];
  const cause: unknown = result.errorInstance;
  return [
    `${cause instanceof Violation ? cause.message : cause instanceof Error ? cause.stack : String(cause)}`,
    `setup: ${JSON.stringify(drawn, infinite)}`,
    ...(commands ?? []).map((command, index) => `  ${index + 1}. ${line(command)}`),
    `replay: MODEL_SEED=${result.seed} MODEL_PATH=${result.counterexamplePath} node --test build/test/model/${half}.test.js`,
    `after ${result.numRuns} sequences, shrunk ${result.numShrinks} times`,
  ].join('\n');
}

function infinite(_key: string, value: unknown): unknown {
  return value === Infinity ? 'Infinity' : value;
}
