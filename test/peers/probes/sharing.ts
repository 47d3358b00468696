// Probes of many queries at once. The peers put several on one connection; we do not, so what is shown of ours is that the same load
// suffers none of it. Knows nothing of transactions.

import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import pg from 'pg';
import { eventually, pidOf, withPool } from '../../postgres/harness.ts';
import {
  admin,
  codeOf,
  pendingAfter,
  probe,
  server,
  statesOf,
  watch,
  withPgClient,
  withPostgresJs,
  withProxy,
} from './stage.ts';

/** Runs the load of the ninth probe; how many of the quick ones ended after the long one. */
async function parked(run: (text: string) => Promise<unknown>): Promise<number> {
  const ended: string[] = [];
  const note = async (kind: string, text: string): Promise<void> => {
    await run(text);
    ended.push(kind);
  };
  await Promise.all([
    note('long', 'SELECT pg_sleep(1)'),
    note('short', 'SELECT pg_sleep(0.15)'),
    ...Array.from({ length: 4 }, () => note('quick', 'SELECT 1')),
  ]);
  return ended.slice(ended.indexOf('long')).filter((kind) => kind === 'quick').length;
}

probe(9, {
  ours: async (t) => {
    const pool = withPool(t, { ...server.config, max: 2 });
    await Promise.all([pool.query('SELECT pg_sleep(0.05)'), pool.query('SELECT pg_sleep(0.05)')]);
    assert.equal(pool.totalCount, 2);
    assert.equal(await parked((text) => pool.query(text)), 0);
    assert.equal(pool.totalCount, 2);
  },
  theirs: {
    'postgres.js': async (t, stillSo) => {
      const { sql, name } = withPostgresJs(t, 2);
      await Promise.all([sql`SELECT 1`, sql`SELECT 1`]);
      assert.equal((await statesOf(name)).length, 2);
      const late = await parked((text) => sql.unsafe(text));
      stillSo('some quick ones ended after the long one', late > 0, true);
    },
  },
});

const COPY = 'COPY copied FROM STDIN';

probe(14, {
  ours: async (t) => {
    await admin.query('CREATE TABLE IF NOT EXISTS copied (n int)');
    const pool = withPool(t, { ...server.config, max: 1 });
    const pid = await pidOf(pool);
    const ends = await Promise.all([COPY, 'SELECT 1', 'SELECT 2', 'SELECT 3'].map((text) => codeOf(pool.query(text))));
    assert.deepEqual(ends, ['57014', 'served', 'served', 'served']);
    assert.equal(await pidOf(pool), pid);
  },
  theirs: {
    pg: async (t, stillSo) => {
      await admin.query('CREATE TABLE IF NOT EXISTS copied (n int)');
      const client = await withPgClient(t, { pipeline: true });
      const [copy, ...neighbours] = await Promise.all(
        [COPY, 'SELECT 1', 'SELECT 2', 'SELECT 3'].map((text) => codeOf(client.query(text))),
      );
      assert.notEqual(copy, 'served');
      stillSo('a neighbour was served', neighbours.includes('served'), false);
      stillSo('the connection serves on', (await codeOf(client.query('SELECT 1'))) === 'served', false);
    },
  },
});

const unknown: pg.QueryConfig = { name: 'early', text: 'SELECT n FROM not_yet_there' };

probe(15, {
  ours: async (t) => {
    for (const max of [1, 2]) {
      const pool = withPool(t, { ...server.config, max });
      const ends = await Promise.all([codeOf(pool.query(unknown)), codeOf(pool.query(unknown))]);
      assert.deepEqual(ends, ['42P01', '42P01']);
      await admin.query('CREATE TABLE not_yet_there (n int)');
      const later = await Promise.all([codeOf(pool.query(unknown)), codeOf(pool.query(unknown))]);
      await admin.query('DROP TABLE not_yet_there');
      assert.deepEqual(later, ['served', 'served']);
    }
  },
  theirs: {
    pg: async (t, stillSo) => {
      const client = await withPgClient(t, { pipeline: true });
      const ends = await Promise.all([codeOf(client.query(unknown)), codeOf(client.query(unknown))]);
      stillSo('the errors of the two', ends, ['42P01', '26000']);
    },
  },
});

probe(16, {
  ours: async (t) => {
    const { proxy, config } = await withProxy(t);
    const pool = withPool(t, { ...config, max: 1 });
    const pid = await pidOf(pool);
    await proxy.lateCancel(Number.POSITIVE_INFINITY);
    const abort = new AbortController();
    const first = watch(pool.query({ text: 'SELECT pg_sleep(0.5)', signal: abort.signal }));
    await eventually('the first runs', async () => (await statesOf(pool.name))[0] === 'active', { everyMs: 5 });
    abort.abort(new Error('given up'));
    const second = watch(pool.query('SELECT pg_sleep(0.2), pg_backend_pid() AS pid'));
    await first.settled;
    await proxy.until(() => proxy.cancels > 0);
    await eventually('the first has ended on the server', async () => (await statesOf(pool.name))[0] === 'idle');
    assert.equal(await pendingAfter(200, second), true, 'it was started with the cancel on its way');
    assert.deepEqual(await statesOf(pool.name), ['idle']);
    await proxy.heal();
    const settled = await second.settled;
    assert.equal(settled.status === 'fulfilled' && settled.value.rows[0]?.pid, pid);
  },
  theirs: {
    pg: async (t, stillSo) => {
      const { proxy, config } = await withProxy(t);
      const client = await withPgClient(t, { ...config, pipeline: true, application_name: 'late cancel' });
      await proxy.lateCancel(Number.POSITIVE_INFINITY);
      const query = new pg.Query('SELECT pg_sleep(0.3)');
      const first = new Promise((resolve) => {
        query.on('end', resolve);
        query.on('error', resolve);
      });
      client.query(query);
      const second = codeOf(client.query('SELECT pg_sleep(3) AS second'));
      const canceller = new pg.Client(config);
      canceller.connection.on('error', () => {});
      t.after(async () => void canceller.connection.stream.destroy());
      Reflect.apply(Reflect.get(canceller, 'cancel'), canceller, [client, query]);
      await proxy.until(() => proxy.cancels > 0);
      await first;
      // A client that had mended this would not begin it yet.
      const runs = `SELECT FROM pg_stat_activity WHERE application_name = 'late cancel' AND state = 'active' AND query LIKE '%second%'`;
      await eventually('the second runs', async () => (await admin.query(runs)).rowCount === 1, {
        withinMs: 1_500,
      }).catch(() => {});
      await proxy.heal();
      stillSo('how the second ended', await second, '57014');
    },
  },
});

const HUNG = 'SELECT pg_sleep(60)';

probe(17, {
  ours: async (t) => {
    const { proxy, config } = await withProxy(t);
    const pool = withPool(t, { ...config, max: 1 });
    const client = await pool.connect();
    client.release();
    const hung = codeOf(pool.query(HUNG));
    const queued = codeOf(pool.query('SELECT 1'));
    await eventually('it runs', async () => (await statesOf(pool.name))[0] === 'active');
    await proxy.stall(); // no cancel gets through either
    const began = performance.now();
    const report = await pool.close({ drainMs: 100, cancelMs: 100 });
    assert.ok(performance.now() - began < 5_000);
    assert.equal(report.destroyed, 1);
    assert.notEqual(await hung, 'served');
    assert.equal(await queued, 'POOL_CLOSED');
    assert.equal(client.connection.stream.closed, true);
  },
  theirs: {
    pg: async (t, stillSo) => {
      const ends = [];
      for (const pipeline of [false, true]) {
        const client = await withPgClient(t, { pipeline, application_name: `hung ${pipeline}` });
        void codeOf(client.query(HUNG));
        await eventually('it runs', async () => (await statesOf(`hung ${pipeline}`))[0] === 'active');
        ends.push(watch(client.end()));
      }
      const [plain, pipelined] = ends;
      await plain?.settled;
      stillSo('the one that pipelines waits', pipelined && (await pendingAfter(500, pipelined)), true);
    },
  },
});

const MANY = 20_000;
/** One statement on the wire: its letter, its length, its text and a zero. */
const BYTES = 1 + 4 + 'SELECT 1'.length + 1;

probe(18, {
  ours: async (t) => {
    const { proxy, config } = await withProxy(t);
    const pool = withPool(t, { ...config, max: 1, acquireTimeoutMs: Number.POSITIVE_INFINITY, prepare: false });
    await pool.query('SELECT 0');
    const written = new Map<number, number>();
    proxy.observe((event) => {
      if (event.type !== 'bytes' || event.direction !== 'toServer') return;
      written.set(event.count, (written.get(event.count) ?? 0) + 1);
    });
    const abort = new AbortController();
    const served: number[] = [];
    let cancelled = 0;
    const all: Promise<unknown>[] = [];
    for (let n = 0; n < MANY; n += 1) {
      const signal = n % 2 === 1 ? abort.signal : undefined;
      const query = pool.query({ text: 'SELECT 1', signal });
      all.push(
        query.then(
          () => served.push(n),
          (error) => {
            assert.equal(error, abort.signal.reason);
            cancelled += 1;
          },
        ),
      );
    }
    assert.equal(pool.snapshot().waiting, MANY - 1);
    abort.abort(new Error('no longer wanted'));
    assert.equal(pool.snapshot().waiting, MANY / 2 - 1);
    await Promise.all(all);
    assert.equal(cancelled, MANY / 2);
    assert.deepEqual(
      served,
      Array.from({ length: MANY / 2 }, (_, n) => 2 * n),
    );
    // Were two written before a reply, they would arrive together.
    assert.deepEqual([...written], [[BYTES, MANY / 2]]);
    assert.equal(pool.stats().connects, 1);
  },
  theirs: {
    pg: async (t, stillSo) => {
      const client = await withPgClient(t, { pipeline: true });
      const { stream } = client.connection;
      assert.ok(stream instanceof Socket);
      const before = stream.bytesWritten;
      const all = Array.from({ length: MANY }, () => codeOf(client.query('SELECT 1')));
      stillSo('what was written in that tick, in bytes', stream.bytesWritten - before, MANY * BYTES);
      stream.destroy();
      await Promise.all(all);
    },
  },
});
