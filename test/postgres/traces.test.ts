// Whether what the pool believes of SQL texts is true, asked of a server: that the functions believed clean are the server's own and
// change nothing, that clean texts leave nothing in a session, that the others do and how little undoes it. How texts are read is tested
// without a server.

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { CLEAN_FUNCTIONS, SESSION_LOCKS, SESSION_UNLOCKS } from '../../src/pg/clean-functions.ts';
import { traceOf } from '../../src/pg/traces.ts';
import { TraceMemory, Tracks } from '../../src/pg/tracks.ts';
import { CLEAN, KNOWN_AND_SEEN, ROWS, TABLES, UNKNOWN_AND_SEEN } from '../pool/trace-texts.ts';
import { withClient, withServer } from './harness.ts';

const server = await withServer(test);
const client = await withClient(test, server.config);
await client.query(TABLES);
await client.query('create role someone');

/** Volatile, and still without a trace in the session. */
const VOLATILE: Readonly<Record<string, readonly string[]>> = {
  'reads a clock': ['clock_timestamp', 'timeofday'],
  'reads the text of the statement': ['current_query'],
  'is called by TABLESAMPLE alone': ['bernoulli', 'system'],
  'draws at random': [
    'random',
    'random_normal',
    'array_sample',
    'array_shuffle',
    'gen_random_uuid',
    'uuidv4',
    'uuidv7',
  ],
  'reads what changes while a statement runs': [
    'pg_blocking_pids',
    'pg_safe_snapshot_blocking_pids',
    'pg_current_wal_insert_lsn',
    'pg_current_wal_lsn',
    'pg_database_size',
    'pg_indexes_size',
    'pg_is_in_recovery',
    'pg_last_wal_receive_lsn',
    'pg_last_wal_replay_lsn',
    'pg_last_xact_replay_timestamp',
    'pg_relation_size',
    'pg_table_size',
    'pg_tablespace_size',
    'pg_total_relation_size',
    'pg_xact_commit_timestamp',
    'pg_xact_status',
    'txid_status',
  ],
  'is about another session': ['pg_cancel_backend', 'pg_terminate_backend'],
  'ends with its statement': ['pg_sleep', 'pg_sleep_for', 'pg_sleep_until'],
  'ends with its transaction': [
    'pg_notify',
    'pg_advisory_xact_lock',
    'pg_advisory_xact_lock_shared',
    'pg_try_advisory_xact_lock',
    'pg_try_advisory_xact_lock_shared',
  ],
  'leaves the values of sequences, which are not counted': ['currval', 'lastval', 'nextval', 'setval'],
};

async function volatility(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { rows } = await client.query<{ name: string; volatile: string }>(
    "select proname as name, provolatile as volatile from pg_proc where pronamespace = 'pg_catalog'::regnamespace",
  );
  const found = new Map<string, Set<string>>();
  for (const { name, volatile } of rows) found.set(name, (found.get(name) ?? new Set()).add(volatile));
  return found;
}

test('every function believed clean is one of the server itself', async () => {
  const found = await volatility();
  const missing = [...CLEAN_FUNCTIONS, ...SESSION_LOCKS, ...SESSION_UNLOCKS].filter((name) => !found.has(name));
  assert.deepEqual(missing, []);
});

test('every function believed clean is volatile only for a reason that is written down', async () => {
  const found = await volatility();
  const volatile = [...CLEAN_FUNCTIONS].filter((name) => found.get(name)?.has('v') === true);
  assert.deepEqual(volatile.toSorted(), Object.values(VOLATILE).flat().toSorted());
});

/**
 * All that a session can hold beyond its transaction and that a server shows. The settings of a transaction count as the session's after
 * it has ended, with the next one's values.
 */
async function session(): Promise<unknown> {
  const { rows } = await client.query(`
    select session_user::text as who, current_user::text as role,
      array(select name || '=' || setting from pg_settings where source = 'session' and name not like 'transaction\\_%' order by 1) as settings,
      array(select pg_listening_channels() order by 1) as channels,
      (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
      array(select name from pg_cursors where name <> '' order by 1) as cursors,
      array(select name from pg_prepared_statements order by 1) as statements,
      array(select relname::text from pg_class where relnamespace = pg_my_temp_schema() and relkind in ('r', 'v', 'S') order by 1) as temporary
  `);
  return rows[0];
}

/** Runs it as one would, with nulls for its parameters. */
async function run(text: string): Promise<pg.QueryResult | pg.QueryResult[]> {
  const count = Math.max(0, ...(text.match(/\$\d+/g) ?? []).map((parameter) => Number(parameter.slice(1))));
  return count === 0 || text.startsWith('prepare') ? client.query(text) : client.query(text, Array(count).fill(null));
}

async function endTransaction(): Promise<void> {
  await client.query('rollback');
}

test.beforeEach(async () => {
  await endTransaction();
  await client.query('discard all');
  await client.query(ROWS);
});

const SEED = Number(process.env.TRACES_SEED ?? 20_260_101);

const fresh = await session();

for (const text of CLEAN) {
  test(`a session is as it was after ${JSON.stringify(text)}`, async () => {
    await run(text);
    await endTransaction();
    assert.deepEqual(await session(), fresh, 'on its own');
    await client.query('begin');
    await run(text);
    await client.query('commit');
    assert.deepEqual(await session(), fresh, 'in a transaction that commits');
  });
}

async function undo(text: string): Promise<void> {
  const tracks = new Tracks(new TraceMemory());
  tracks.running(text);
  assert.ok(tracks.dirty);
  await client.query(tracks.remedy);
}

for (const text of [...KNOWN_AND_SEEN, ...UNKNOWN_AND_SEEN]) {
  test(`a session is not as it was after ${JSON.stringify(text)}, until what is known to undo it is run`, async () => {
    assert.notEqual(traceOf(text), 0);
    await run(text);
    await endTransaction();
    assert.notDeepEqual(await session(), fresh);
    await undo(text);
    assert.deepEqual(await session(), fresh);
  });
}

/** What makes the difference between a statement and the inside of a string, a comment or a name. */
const PIECES = [
  'select 1',
  ' select 1 as x',
  'set work_mem = 128',
  ';set work_mem = 128;',
  ';select not_known(1)--',
  "set_config('work_mem','1MB',false)",
  'listen a;',
  "'",
  "''",
  '"',
  '\\',
  " E'",
  " U&'",
  " N'",
  " B'",
  '$$',
  '$a$',
  'a$',
  '/*',
  '*/',
  '--',
  '\n',
  '\r',
  ';',
  ',',
  '(',
  ')',
  '1',
  'x',
  'é',
  '\u00a0',
  '+',
];

for (const conforming of ['on', 'off']) {
  const name = `standard_conforming_strings = ${conforming}`;
  test(`what is read as clean leaves nothing, however it was put together (${name}, TRACES_SEED=${SEED})`, async () => {
    await client.query('discard all');
    await client.query(`set ${name}; set escape_string_warning = off`);
    const before = await session();
    const text = fc
      .array(fc.constantFrom(...PIECES), { maxLength: 9 })
      .map((pieces) => `select 1${pieces.join('')}`)
      .filter((whole) => /set|not_known|listen/.test(whole) && traceOf(whole) === 0);
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(text, async (whole) => {
        const done = await client.query(whole).then(
          () => true,
          () => false,
        );
        if (done) ran += 1;
        await endTransaction();
        assert.deepEqual(await session(), before);
      }),
      { seed: SEED, numRuns: 3_000 },
    );
    assert.ok(ran >= 100, `only ${ran} of them ran`);
  });
}
