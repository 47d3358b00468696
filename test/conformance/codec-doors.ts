// Runs entries of the codec's corpus through every way to ask, and compares down to what nobody should look at: a bare pg.Client with the
// pool on which pg speaks, and that with the pools on which the codec may. Owns how often each runs; what is asked is the corpus's.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import type { Pool, PoolOptions } from '../../src/doors/index.ts';
import { type Scope, withClient, withPool } from '../postgres/harness.ts';
import type { Arguments, Door, Entry, Speaks } from './codec-corpus/entry.ts';
import { portrait } from './codec-portrait.ts';

interface Mode {
  readonly label: string;
  readonly options: PoolOptions;
  /** Through each door. Rows are made in another way from the fourth time on, and texts prepared from the fifth, whatever the door. */
  readonly runs: Readonly<Record<Door, number>>;
}

const BY_PG: Mode = {
  label: 'speaker pg',
  options: { speaker: 'pg', prepare: false },
  runs: { pool: 1, lease: 1, tx: 1 },
};

const BY_CODEC: readonly Mode[] = [
  {
    label: 'speaker auto, prepare false',
    options: { speaker: 'auto', prepare: false },
    runs: { pool: 2, lease: 2, tx: 2 },
  },
  {
    label: 'speaker auto, prepare auto',
    options: { speaker: 'auto', prepare: 'auto' },
    runs: { pool: 8, lease: 2, tx: 2 },
  },
  {
    label: 'speaker auto, prepare always',
    options: { speaker: 'auto', prepare: 'always' },
    runs: { pool: 3, lease: 2, tx: 2 },
  },
];

const DOORS: readonly Door[] = ['pool', 'lease', 'tx'];

/** Whatever has a `query`. */
export interface Asked {
  query(...args: never[]): unknown;
}

/** How a call of `query()` ended, as a portrait can tell of it. */
export interface Outcome {
  readonly how: 'resolved' | 'rejected' | 'threw' | 'called back';
  readonly value: unknown;
  /** Of an error: whether its stack leads to this file, and what it begins with. */
  readonly stack?: readonly [leadsHere: boolean, head: string];
}

const HERE = 'codec-doors';

function failed(how: Outcome['how'], value: unknown): Outcome {
  if (!(value instanceof Error)) return { how, value };
  const { stack = '' } = value;
  return { how, value, stack: [stack.includes(HERE), stack.split('\n    at ')[0] ?? ''] };
}

const ANSWERED_WITHIN_MS = 8_000;

/** Asks, and waits for the answer; throws if there is none. */
export async function ask(asked: Asked, args: Arguments, callback = false): Promise<Outcome> {
  let bell: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    bell = setTimeout(() => reject(new Error(`no answer within ${ANSWERED_WITHIN_MS} ms`)), ANSWERED_WITHIN_MS);
  });
  try {
    return await Promise.race([answered(asked, args, callback), late]);
  } finally {
    clearTimeout(bell);
  }
}

async function answered(asked: Asked, args: Arguments, callback: boolean): Promise<Outcome> {
  if (callback)
    return new Promise((resolve) => {
      Reflect.apply(asked.query, asked, [
        ...args,
        (...given: unknown[]) => resolve({ how: 'called back', value: given }),
      ]);
    });
  let answer: unknown;
  try {
    answer = Reflect.apply(asked.query, asked, args);
  } catch (error) {
    return failed('threw', error);
  }
  try {
    // Given back as it is, and running still: who returned the connection now would have it cancelled, in time or not.
    if (answer === args[0] && answer instanceof pg.Query) await ended(answer);
    return { how: 'resolved', value: await answer };
  } catch (error) {
    return failed('rejected', error);
  }
}

/** As much as pg tells of the end of a submittable that has no callback. */
function ended(query: pg.Query): Promise<void> {
  return new Promise((resolve, reject) => query.once('end', resolve).once('error', reject));
}

/** That of a transaction's error has a test of its own. */
function placeless(door: Door, { how, value, stack }: Outcome): Outcome {
  if (stack === undefined) return { how, value };
  return { how, value, stack: [door === 'tx' || stack[0], stack[1]] };
}

interface Told {
  readonly outcomes: readonly Outcome[];
  readonly notices: readonly unknown[];
}

export interface Counts {
  readonly queriesByCodec: number;
  readonly queriesByPg: number;
  readonly queriesPrepared: number;
}

/** Who spoke how often since the pool was made. */
export function countsOf(pool: Pool): Counts {
  const { queriesByCodec = NaN, queriesByPg = NaN, queriesPrepared = NaN } = pool.stats();
  return { queriesByCodec, queriesByPg, queriesPrepared };
}

/** Told of what a step was counted as. */
type Counted = (step: number, counts: Counts) => void;

/** Anything that entries are run through: on one session, whatever the door. */
interface Subject {
  run(entry: Entry, door: Door, counted: Counted): Promise<Told>;
}

const nothing: Counted = () => {};

class Bare implements Subject {
  readonly #client: pg.Client;
  readonly #notices: unknown[] = [];

  constructor(client: pg.Client) {
    this.#client = client;
    client.on('notice', (notice: unknown) => this.#notices.push(notice));
  }

  async run(entry: Entry, door: Door): Promise<Told> {
    this.#notices.length = 0;
    if (door === 'tx') await this.#client.query('BEGIN');
    const outcomes: Outcome[] = [];
    for (const args of entry.steps()) outcomes.push(placeless(door, await ask(this.#client, args, entry.callback)));
    const notices = [...this.#notices];
    if (door === 'tx') await this.#client.query('ROLLBACK');
    return { outcomes, notices };
  }
}

class Pooled implements Subject {
  readonly #pool: Pool;
  readonly #notices: unknown[] = [];

  constructor(pool: Pool) {
    this.#pool = pool;
    pool.on('connect', (client) => client.on('notice', (notice: unknown) => this.#notices.push(notice)));
  }

  async run(entry: Entry, door: Door, counted: Counted): Promise<Told> {
    this.#notices.length = 0;
    let told: Told | undefined;
    if (door === 'pool') told = await this.#steps(this.#pool, entry, door, counted);
    else if (door === 'lease')
      await this.#pool.use(async (lease) => {
        told = await this.#steps(lease, entry, door, counted);
      });
    else
      await this.#pool.transaction(async (tx) => {
        told = await this.#steps(tx, entry, door, counted);
        await tx.rollback();
      });
    return told ?? assert.fail('nothing was run');
  }

  async #steps(asked: Asked, entry: Entry, door: Door, counted: Counted): Promise<Told> {
    const outcomes: Outcome[] = [];
    for (const [step, args] of entry.steps().entries()) {
      const before = countsOf(this.#pool);
      outcomes.push(placeless(door, await ask(asked, args, entry.callback)));
      const after = countsOf(this.#pool);
      counted(step, {
        queriesByCodec: after.queriesByCodec - before.queriesByCodec,
        queriesByPg: after.queriesByPg - before.queriesByPg,
        queriesPrepared: after.queriesPrepared - before.queriesPrepared,
      });
    }
    return { outcomes, notices: [...this.#notices] };
  }
}

interface Subjects {
  readonly bare: Subject;
  readonly byPg: Subject;
  readonly byCodec: readonly (readonly [Mode, Subject])[];
}

export interface ConformanceOptions {
  readonly config: pg.ClientConfig;
  /** Of the clients of all, the bare one included. */
  readonly client?: pg.ClientConfig;
  /** The test that these are parts of. */
  readonly within?: TestContext;
}

async function subjects(scope: Scope, { config, client = {} }: ConformanceOptions): Promise<Subjects> {
  const pooled = ({ options }: Mode): Subject =>
    new Pooled(withPool(scope, { ...config, ...client, ...options, max: 1, callSites: false }));
  return {
    bare: new Bare(await withClient(scope, { ...config, ...client })),
    byPg: pooled(BY_PG),
    byCodec: BY_CODEC.map((mode) => [mode, pooled(mode)] as const),
  };
}

function same(ours: unknown, theirs: unknown, who: string): void {
  try {
    assert.deepStrictEqual(ours, theirs);
  } catch {
    throw new assert.AssertionError({ message: `${who}; what differs:\n${difference(ours, theirs)}` });
  }
}
/** Where two portraits part, for whoever reads the failure. */
function difference(ours: unknown, theirs: unknown, path = ''): string {
  if (Array.isArray(ours) && Array.isArray(theirs) && ours.length === theirs.length) {
    const at = ours.findIndex((one, index) => {
      try {
        assert.deepStrictEqual(one, theirs[index]);
        return false;
      } catch {
        return true;
      }
    });
    const name = typeof ours[0] === 'string' && at > 0 ? ours[0].slice(0, 40) : String(at);
    if (at >= 0) return difference(ours[at], theirs[at], `${path}/${name}`);
  }
  const text = (one: unknown): string => (typeof one === 'object' ? JSON.stringify(one) : String(one)).slice(0, 400);
  return `${path}\n  is        ${text(ours)}\n  should be ${text(theirs)}`;
}

function spoken(speaks: Speaks, { queriesByCodec, queriesByPg }: Counts, who: string): void {
  if (speaks === 'either') return;
  assert.deepEqual(
    { queriesByCodec, queriesByPg },
    { queriesByCodec: speaks === 'codec' ? 1 : 0, queriesByPg: speaks === 'pg' ? 1 : 0 },
    `${who}: expected to speak: ${speaks}`,
  );
}

/** Gives how often the codec answered otherwise, where that is meant. */
async function runOnce(all: Subjects, entry: Entry, door: Door, prepare: () => Promise<void>): Promise<number> {
  let differences = 0;
  const { speaks, closures } = entry;
  const who = (step: number): Speaks => (typeof speaks === 'string' ? speaks : (speaks[step] ?? 'either'));
  await prepare();
  const bare = entry.deviates === undefined ? await all.bare.run(entry, door, nothing) : undefined;
  await prepare();
  const byPg = await all.byPg.run(entry, door, (step, counts) => {
    assert.equal(counts.queriesByCodec, 0, `speaker pg, ${door}, step ${step}: the codec spoke`);
    assert.equal(counts.queriesPrepared, 0, `speaker pg, ${door}, step ${step}: it was prepared`);
  });
  const expected = portrait(byPg, { closures });
  if (bare !== undefined) same(expected, portrait(bare, { closures }), `pg in the pool and bare, ${door}`);
  for (const [{ label, runs }, subject] of all.byCodec) {
    let prepared = 0;
    const times = entry.apart === true ? 1 : runs[door];
    for (let run = 1; run <= times; run += 1) {
      await prepare();
      let last = 0;
      const told = await subject.run(entry, door, (step, counts) => {
        spoken(who(step), counts, `${label}, ${door}, run ${run}, step ${step}`);
        last = counts.queriesPrepared;
      });
      prepared += last;
      const ours = portrait(told, { closures });
      if (entry.unlike === undefined) same(ours, expected, `${label} and pg, ${door}, run ${run}`);
      else if (!isDeepStrictEqual(ours, expected)) differences += 1;
    }
    if (entry.prepared === undefined || door !== 'pool') continue;
    if (entry.prepared === false || label.endsWith('false')) assert.equal(prepared, 0, `${label}: prepared`);
    else if (label.endsWith('always')) assert.equal(prepared, times, `${label}: prepared`);
    else assert.ok(prepared > 0, `${label}: not prepared`);
  }
  return differences;
}

interface Shared {
  readonly all: Subjects;
  readonly close: () => Promise<void>;
}

/** For all entries that do not ask for others. */
async function sharedSubjects(options: ConformanceOptions): Promise<Shared> {
  const closers: (() => Promise<void>)[] = [];
  const all = await subjects({ after: (close) => void closers.push(close) }, options);
  return { all, close: async () => void (await Promise.all(closers.map((close) => close()))) };
}

/** One test for each entry; resolves when they are over, if they are parts of one. */
export async function conforms(entries: readonly Entry[], options: ConformanceOptions): Promise<void> {
  const names = entries.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
    'two entries have one name',
  );
  const { within } = options;
  const scope: Scope = within ?? test;
  let shared: Shared | undefined;
  scope.after(async () => shared?.close());
  const admin = await withClient(scope, options.config);
  for (const entry of entries) {
    const name = `${entry.name} gives what pg gives`;
    const { before } = entry;
    const prepare = async (): Promise<void> => {
      if (before !== undefined) await admin.query(before);
    };
    const run = async (t: TestContext): Promise<void> => {
      let differences = 0;
      for (const door of entry.doors ?? DOORS) {
        if (entry.apart === true) {
          differences += await runOnce(await subjects(t, options), entry, door, prepare);
          continue;
        }
        const { all, close } = shared ?? (await sharedSubjects(options));
        shared = undefined;
        try {
          differences += await runOnce(all, entry, door, prepare);
          shared = { all, close };
        } finally {
          // What has failed may have left anything behind: the next entry gets others.
          if (shared === undefined) await close();
        }
      }
      if (entry.unlike !== undefined) assert.ok(differences > 0, `no longer so: ${entry.unlike}`);
    };
    if (within === undefined) test(name, run);
    else await within.test(name, run);
  }
}
