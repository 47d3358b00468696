// The option `pooler`: how a pooler is found, what is said about it and how often, and what the pool leaves off behind one. What works
// and fails through PgBouncer whatever this option says is the business of the other two files.

import assert from 'node:assert/strict';
import nodeTest, { type TestContext } from 'node:test';
import { ConnectionLostError, OptionError, Pool, type PoolOptions, QueryTimeoutError } from '../../src/doors/index.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { eventually, pidOf, rejection, reports, withPool } from './harness.ts';
import { behindPgBouncer, type PoolMode, test, withPgBouncer } from './pgbouncer.ts';

const { server, admin, serverLog } = await behindPgBouncer(nodeTest, { log_statement: 'all' });

interface Fixture {
  readonly pool: Pool;
  /** What was said about a pooler so far, oldest first. */
  told(): string[];
}

/** A pool that goes straight to the server. */
function straight(t: TestContext, options: PoolOptions): Fixture {
  const { said, logger } = reports();
  const pool = withPool(t, { ...server(), logger, ...options });
  const told = (): string[] => said.filter(({ code }) => code === 'OXBOW_POOLER').map(({ message }) => message);
  return { pool, told };
}

/** A pool that goes through PgBouncer. */
async function through(t: TestContext, mode: PoolMode, options: PoolOptions): Promise<Fixture> {
  // What PgBouncer itself would send to clean a session is not to be mistaken for ours.
  // Each statement is for the session that has rested longest, as under load.
  const settings = { server_reset_query: '', server_round_robin: 1 };
  const bouncer = await withPgBouncer(t, { server: server(), mode, settings });
  return straight(t, { ...bouncer.config, ...options });
}

const one = [{ one: 1 }];

/** The statements that the server logged while `work` ran and that begin like this. */
async function logged(start: RegExp, work: () => Promise<void>): Promise<string[]> {
  const before = serverLog().length;
  await work();
  // The log is written by each session on its own: this one's turn comes after all the others'.
  const mark = `mark ${before}`;
  await admin().query(`SELECT '${mark}'`);
  await eventually('the log has come so far', () => serverLog().includes(mark));
  const texts = [
    ...serverLog()
      .slice(before)
      .matchAll(/(?:statement|execute \S+): (.*)/g),
  ].map(([, text = '']) => text);
  return texts.filter((text) => start.test(text));
}

for (const wrong of ['statement', 'Transaction', '', true, 5, null]) {
  test(`pooler: ${JSON.stringify(wrong)} is refused by name before anything is done`, async () => {
    const options = JSON.parse(JSON.stringify({ pooler: wrong }));
    assert.throws(
      () => new Pool(options),
      (error: unknown) =>
        error instanceof OptionError && /pooler/.test(error.message) && /'session'/.test(error.message),
    );
  });
}

test('straight on the server auto finds no pooler, says nothing and names sessions by their process', async (t) => {
  const { pool, told } = straight(t, { max: 3, reset: 'discard', pooler: 'auto' });
  await pool.use(async (lease) => {
    await lease.query("SET statement_timeout = '9s'; LISTEN somewhere");
    await lease.query('SELECT pg_advisory_lock(1)');
    assert.equal(pool.holders()[0]?.pid, await pidOf(lease));
  });
  await Promise.all([pool.query('SELECT 1'), pool.query('SELECT 2'), pool.query('SELECT 3')]);
  assert.deepEqual(told(), []);
});

test("pooler: 'none' asks nobody, and a connection costs no round trip more", async (t) => {
  const { pool, told } = await through(t, 'transaction', { max: 1, pooler: 'none' });
  const asked = await logged(/pg_backend_pid/, async () => void (await pool.query('SELECT 1')));
  assert.deepEqual(asked, []);
  assert.deepEqual(told(), []);
});

for (const mode of ['session', 'transaction'] as const) {
  test(`auto finds PgBouncer at the first connection and says once what cannot work (${mode} mode)`, async (t) => {
    const { pool, told } = await through(t, mode, { min: 3, max: 6 });
    const events: string[] = [];
    pool.observe({ report: ({ code }) => events.push(code) });
    await pool.open();
    await Promise.all(Array.from({ length: 12 }, () => pool.query('SELECT pg_sleep(0.01)')));
    await pool.replaceAll();
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
    assert.equal(told().length, 1, told().join('\n'));
    for (const part of [
      /pooler/,
      /transaction/,
      /LISTEN/,
      /setting/,
      /advisory lock/,
      /PREPARE/,
      /`pooler`/,
      /'session'/,
    ]) {
      assert.match(told()[0] ?? '', part);
    }
    assert.equal(events.filter((code) => code === 'OXBOW_POOLER').length, 1);
  });
}

for (const pooler of ['auto', 'transaction'] as const) {
  for (const reset of ['discard', 'tracked'] as const) {
    test(`reset: '${reset}' behind a transaction pooler is said to do nothing, and sends nothing (pooler: '${pooler}')`, async (t) => {
      const { pool, told } = await through(t, 'transaction', { max: 2, reset, pooler });
      const sent = await logged(/^(DISCARD|RESET|UNLISTEN|DEALLOCATE|CLOSE ALL|SET SESSION AUTH)/i, async () => {
        for (let n = 0; n < 3; n += 1) {
          await pool.use(async (lease) => {
            await lease.query("SET statement_timeout = '9s'");
            await lease.query('CREATE TEMP TABLE IF NOT EXISTS mine (n int)');
          });
        }
        await pool.transaction((tx) => tx.query('SELECT 1'));
      });
      assert.deepEqual(sent, []);
      assert.match(told()[0] ?? '', /reset/);
      assert.equal(told().filter((text) => /not reset|`reset`/.test(text)).length, 1);
    });
  }
}

const SESSION_STATE: readonly (readonly [kind: RegExp, texts: readonly string[], instead: RegExp])[] = [
  [/LISTEN/, ['LISTEN news', '  listen "more news"'], /server itself|direct/],
  [/\bSET\b/, ["SET statement_timeout = '9s'", 'SET SESSION search_path = public'], /SET LOCAL|settings/],
  [/PREPARE/, ['PREPARE two AS SELECT 2', 'prepare three (int) as select $1'], /server itself|driver|name/],
  // They take none: the second of a kind would wait for ever whenever PgBouncer gave it the other of its two sessions.
  [
    /advisory lock/,
    ['SELECT pg_advisory_lock(7) WHERE false', 'SELECT pg_try_advisory_lock(8) WHERE false'],
    /pg_advisory_xact_lock/,
  ],
];

test('what needs a session of its own is reported once for each kind, with what to call instead', async (t) => {
  const { pool, told } = await through(t, 'transaction', { max: 2 });
  await Promise.all([pool.query('SELECT pg_sleep(0.1)'), pool.query('SELECT pg_sleep(0.1)')]);
  assert.equal(told().length, 1, 'what was said when it was found');
  for (const [, texts] of SESSION_STATE) {
    for (const text of [...texts, ...[...texts].reverse()]) await pool.query(text).catch(() => {}); // PREPARE twice is refused
  }
  const each = told().slice(1);
  assert.equal(each.length, SESSION_STATE.length, each.join('\n'));
  SESSION_STATE.forEach(([kind, , instead], n) => {
    assert.match(each[n] ?? '', kind);
    assert.match(each[n] ?? '', instead);
  });
});

test('what ends with its transaction, or only looks like session state, is not reported', async (t) => {
  const { pool, told } = await through(t, 'transaction', { max: 2 });
  await pool.query('SELECT 1');
  assert.equal(told().length, 1, 'what was said when it was found');
  await pool.transaction(
    async (tx) => {
      await tx.query("SET LOCAL statement_timeout = '9s'");
      await tx.query("SELECT set_config('app.tenant', 'seven', true)");
      await tx.query('SELECT pg_advisory_xact_lock(9)');
    },
    { settings: { 'app.user': 'me' } },
  );
  await pool.transaction((tx) => tx.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'));
  await pool.query("SELECT 'LISTEN news; SET x = 1; PREPARE p AS SELECT pg_advisory_lock(1)' AS text /* SET y = 2 */");
  await pool.query('CREATE TABLE listeners (set_at int)');
  await pool.query('UPDATE listeners SET set_at = 1');
  await pool.query("NOTIFY news, 'nobody hears'");
  assert.deepEqual(told().slice(1), []);
});

test("pooler: 'session' says nothing, names the server's process and cleans as on the server itself", async (t) => {
  const { pool, told } = await through(t, 'session', { max: 1, reset: 'discard', pooler: 'session' });
  const first = await pool.use(async (lease) => {
    const pid = await pidOf(lease);
    assert.equal(pool.holders()[0]?.pid, pid);
    await lease.query("SET statement_timeout = '9s'; LISTEN news; CREATE TEMP TABLE mine (n int)");
    await lease.query('SELECT pg_advisory_lock(4712)');
    return pid;
  });
  await pool.use(async (lease) => {
    assert.equal(await pidOf(lease), first);
    assert.deepEqual((await lease.query('SHOW statement_timeout')).rows, [{ statement_timeout: '0' }]);
    assert.deepEqual((await lease.query("SELECT to_regclass('pg_temp.mine') AS t")).rows, [{ t: null }]);
    assert.deepEqual((await lease.query('SELECT pg_listening_channels()')).rows, []);
  });
  const { rows } = await admin().query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712");
  assert.deepEqual(rows, []);
  assert.deepEqual(told(), []);
});

test("pooler: 'session' with reset: 'tracked' undoes what was changed and leaves alone what was not", async (t) => {
  const { pool, told } = await through(t, 'session', { max: 1, reset: 'tracked', pooler: 'session' });
  const undone = await logged(/^CLOSE ALL/, async () => {
    await pool.query('SELECT 1');
    await pool.use((lease) => lease.query("SET statement_timeout = '9s'"));
    assert.deepEqual((await pool.query('SHOW statement_timeout')).rows, [{ statement_timeout: '0' }]);
    await pool.query('SELECT 2');
  });
  assert.equal(undone.length, 1, undone.join('\n'));
  await pool.use((lease) => lease.query('SELECT pg_advisory_lock(4713)'));
  await eventually('the lock is gone', async () => {
    const { rowCount } = await admin().query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713");
    return rowCount === 0;
  });
  assert.deepEqual(told(), []);
});

const LOOKED_AT = [
  ['session', 'auto'],
  ['session', 'session'],
  ['session', 'transaction'],
  ['transaction', 'auto'],
  ['transaction', 'transaction'],
] as const;

test('a long statement that works is never declared lost, in either mode and whatever is known of the pooler', async (t) => {
  await Promise.all(
    LOOKED_AT.map(async ([mode, pooler]) => {
      const { pool } = await through(t, mode, { max: 3, silentAfterMs: 500, pooler });
      const long = [1, 2].map(() => pool.query('SELECT 1 AS one FROM pg_sleep(2.2)'));
      for (const { rows } of await Promise.all(long)) assert.deepEqual(rows, one);
      assert.equal(pool.stats().connectionsLost, 0, `${mode} mode, pooler: '${pooler}'`);
    }),
  );
});

/** A statement whose reply vanishes between PgBouncer and the pool; what the pool makes of it. */
async function silenced(t: TestContext, mode: PoolMode, pooler: 'auto' | 'session'): Promise<Promise<unknown>> {
  const bouncer = await withPgBouncer(t, { server: server(), mode });
  const proxy = await faultProxy({ target: bouncer.config });
  t.after(() => proxy[Symbol.asyncDispose]());
  const { host, port } = proxy;
  const options = { ...bouncer.config, host, port, max: 2, silentAfterMs: 500, returnTimeoutMs: 200, pooler };
  const { pool } = straight(t, options);
  const lease = await pool.acquire();
  await lease.query('SELECT 1');
  const [line] = proxy.connections;
  const running = lease.query({ text: 'SELECT pg_sleep(0.3)', timeoutMs: pooler === 'auto' ? 2_500 : 10_000 });
  running.catch(() => {}).finally(() => lease.release());
  await line?.drop('toClient');
  return running;
}

test("pooler: 'session' finds a line that went dead under a statement, by looking it up on the server", async (t) => {
  await rejection(silenced(t, 'session', 'session'), ConnectionLostError);
});

test('behind a pooler that was only found nobody is looked up, whose sessions are not ours: its deadline ends the query', async (t) => {
  await rejection(silenced(t, 'transaction', 'auto'), QueryTimeoutError);
});
