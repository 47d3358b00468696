// Stories of a session in which something changes while texts are prepared: told to a bare pg.Client, to the pool on which pg speaks, and
// to those on which the codec may, and compared. Owns how a story is told; what happens in it is the tests'.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import type { PoolOptions } from '../../src/doors/index.ts';
import { withClient, withPool } from '../postgres/harness.ts';
import type { Arguments } from './codec-corpus/entry.ts';
import { type Asked, ask, type Outcome } from './codec-doors.ts';
import { portrait } from './codec-portrait.ts';

const MODES: Readonly<Record<string, PoolOptions>> = {
  'speaker pg': { speaker: 'pg', prepare: false },
  'prepare false': { speaker: 'auto', prepare: false },
  'prepare auto': { speaker: 'auto', prepare: 'auto' },
  'prepare always': { speaker: 'auto', prepare: 'always' },
};

/** One of a story's steps: a query, or something done by another session. */
export type Step = Arguments | { readonly admin: string };

export function times(count: number, ...steps: Step[]): Step[] {
  return Array.from({ length: count }, () => steps).flat();
}

async function told(admin: pg.Client, asked: Asked, steps: readonly Step[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const step of steps) {
    if ('admin' in step) await admin.query(step.admin);
    else outcomes.push(await ask(asked, step));
  }
  return outcomes;
}

/** How each of them ended, for whoever reads a failure. */
function summary(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ how, value }) => {
    if (value instanceof Error) return `${how}: ${value.message}`;
    return `${how}: ${JSON.stringify(Reflect.get(Object(value), 'rows') ?? value)}`;
  });
}

function same(actual: readonly Outcome[], expected: readonly Outcome[], who: string): void {
  assert.deepStrictEqual(summary(actual), summary(expected), who);
  assert.deepStrictEqual(portrait(actual, { anyTable: true }), portrait(expected, { anyTable: true }), who);
}

export interface Story {
  readonly before?: string;
  readonly steps: readonly Step[];
  /** A pool's named statements follow the server's where pg's do not: then only pools are compared. */
  readonly poolsOnly?: true;
  readonly through?: 'pool' | 'lease';
  /** Why what is prepared answers otherwise than pg, known and meant: it has to, or the story is out of date. */
  readonly unlike?: string;
}

/** `admin` is the other session. */
export async function tell(
  t: TestContext,
  config: pg.ClientConfig,
  admin: pg.Client,
  { before = 'select', steps, poolsOnly, through = 'lease', unlike }: Story,
): Promise<void> {
  await admin.query(before);
  const bare = await withClient(t, config);
  let differences = 0;
  let expected = poolsOnly ? undefined : await told(admin, bare, steps);
  for (const [label, options] of Object.entries(MODES)) {
    await admin.query(before);
    const pool = withPool(t, { ...config, ...options, max: 1 });
    const outcomes = await (through === 'pool'
      ? told(admin, pool, steps)
      : pool.use((lease) => told(admin, lease, steps)));
    expected ??= outcomes;
    if (unlike === undefined) same(outcomes, expected, label);
    else if (!isDeepStrictEqual(summary(outcomes), summary(expected))) differences += 1;
  }
  if (unlike !== undefined) assert.ok(differences > 0, `no longer so: ${unlike}`);
}

/** A table, and another of its name in another schema. */
export const TABLE = `
  drop table if exists altered cascade;
  create table altered (a int, b text);
  insert into altered values (1, 'x'), (2, null);
  drop schema if exists elsewhere cascade;
  create schema elsewhere;
  create table elsewhere.altered (c text, d int);
  insert into elsewhere.altered values ('elsewhere', 7);
`;
