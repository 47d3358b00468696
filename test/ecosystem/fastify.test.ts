// The Fastify plugin in real Fastify apps, on a real server: when it opens, who closes it and when, what a scope sees, what fails
// the boot, and what its users must be able to write without a cast.

import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import test, { type TestContext } from 'node:test';
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyServerOptions } from 'fastify';
import { type OxbowFastifyOptions, oxbowFastify } from '../../src/doors/fastify.ts';
import { ConnectError, OptionError, Pool, PoolClosedError, PoolTimeoutError } from '../../src/doors/index.ts';
import { NullPool } from '../../src/doors/null.ts';
import {
  backends,
  deafServer,
  eventually,
  freshName,
  rejection,
  withClient,
  withPool,
  withServer,
} from '../postgres/harness.ts';

declare module 'fastify' {
  interface FastifyInstance {
    reports: Pool;
  }
}

const server = await withServer(test, { url: false, auth: 'scram' });
const admin = await withClient(test, server.config);

function withApp(t: TestContext, options: FastifyServerOptions = {}): FastifyInstance {
  const app = Fastify({ forceCloseConnections: true, ...options });
  t.after(() => app.close());
  return app;
}

async function boot(app: FastifyInstance): Promise<void> {
  await app.ready();
}

/** A Fastify logger's output, as it comes. */
function withLog(): { logger: { level: string; stream: { write(line: string): void } }; lines: string[] } {
  const lines: string[] = [];
  return { logger: { level: 'info', stream: { write: (line) => void lines.push(line) } }, lines };
}

/** Asks the listening app; resolves with the status and the text. */
function ask(app: FastifyInstance, path: string, agent?: Agent): Promise<string> {
  const address = app.server.address();
  assert.ok(address !== null && typeof address === 'object');
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: address.port, path, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += String(chunk);
      });
      response.on('end', () => resolve(`${response.statusCode} ${text}`));
    }).on('error', reject);
  });
}

test('a pool made by the plugin is open when the app is ready, serves its handlers, and is closed with it', async (t) => {
  const app = withApp(t);
  const name = freshName();
  app.register(oxbowFastify, { ...server.config, name });
  app.get('/', async () => (await app.oxbow.query<{ n: number }>('SELECT 1 AS n')).rows);
  await app.ready();
  assert.equal(app.oxbow.phase, 'open');
  assert.equal(app.oxbow.idleCount, 1, 'one connection was proven');
  assert.deepEqual((await app.inject('/')).json(), [{ n: 1 }]);
  await app.close();
  assert.equal(app.oxbow.phase, 'closed');
  await eventually('no session is left', async () => (await backends(admin, name)) === 0);
});

test('an awaited register hands out an open pool, so that what follows in the boot can query', async (t) => {
  const app = withApp(t);
  await app.register(oxbowFastify, server.config);
  assert.equal((await app.oxbow.query('SELECT 1')).rowCount, 1);
});

test('requests under way when the app closes finish, and may still borrow; then the pool closes', async (t) => {
  const app = withApp(t, { forceCloseConnections: 'idle' });
  const phases: string[] = [];
  let entered = (): void => {};
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  let letGo = (): void => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  app.register(oxbowFastify, server.config);
  app.get('/slow', async () => {
    entered();
    await gate;
    const { rows } = await app.oxbow.query<{ said: string }>("SELECT 'late' AS said");
    return rows[0]?.said;
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  app.oxbow.observe({ phase: ({ to }) => phases.push(to) });
  const answer = ask(app, '/slow', new Agent({ keepAlive: false }));
  await inside;
  const closed = app.close();
  await eventually('the app takes no new request', () => !app.server.listening);
  assert.deepEqual(phases, [], 'the pool waits for the server');
  letGo();
  assert.equal(await answer, '200 late');
  await closed;
  assert.deepEqual(phases, ['closing', 'closed']);
});

test('a plugin registered later can still use the pool in its own onClose', async (t) => {
  const app = withApp(t);
  let seen: number | null = null;
  app.register(oxbowFastify, server.config);
  app.register(async (child) => {
    child.addHook('onClose', async () => {
      seen = (await child.oxbow.query('SELECT 1')).rowCount;
    });
  });
  await app.ready();
  await app.close();
  assert.equal(seen, 1);
});

test('a wrong password fails the boot with the error of the pool, and app.listen() with it', async (t) => {
  const app = withApp(t);
  app.register(oxbowFastify, { ...server.config, password: 'wrong' });
  const error = await rejection(app.listen({ host: '127.0.0.1', port: 0 }), ConnectError);
  assert.equal(error.code, '28P01');
  assert.equal(error.transient, false);
  assert.equal(app.server.listening, false);
});

test('a server that never answers fails the boot with the error of the pool, ahead of the timeout of plugins', async (t) => {
  const deaf = await deafServer(t);
  const app = withApp(t, { pluginTimeout: 400 });
  app.register(oxbowFastify, { ...server.config, host: deaf.host, port: deaf.port });
  await rejection(boot(app), PoolTimeoutError);
  await eventually('nothing is being dialled any more', () => deaf.open === 0);
});

test('with wait: false the app boots without a database', async (t) => {
  const deaf = await deafServer(t);
  const app = withApp(t, { pluginTimeout: 400 });
  app.register(oxbowFastify, { ...server.config, host: deaf.host, port: deaf.port, min: 1, open: { wait: false } });
  app.get('/health', async () => app.oxbow.health());
  await app.ready();
  assert.equal((await app.inject('/health')).statusCode, 200);
});

test('a pool that was made here is closed by app.close() also when a later plugin failed the boot', async (t) => {
  const app = withApp(t);
  const name = freshName();
  app.register(oxbowFastify, { ...server.config, name });
  app.register(async () => {
    throw new Error('no template folder');
  });
  await assert.rejects(boot(app), /no template folder/);
  assert.equal(app.oxbow.phase, 'open');
  await app.close();
  assert.equal(app.oxbow.phase, 'closed');
});

test('a given pool is opened if it was not, and left open when the app closes', async (t) => {
  const pool = withPool(t, server.config);
  const first = withApp(t);
  await first.register(oxbowFastify, { pool });
  assert.equal(first.oxbow, pool);
  assert.equal(pool.phase, 'open');
  await first.close();
  assert.equal(pool.phase, 'open');
  const second = withApp(t);
  await second.register(oxbowFastify, { pool });
  assert.equal((await second.oxbow.query('SELECT 1')).rowCount, 1);
});

test('a given pool that was closed fails the boot', async (t) => {
  const pool = new Pool(server.config);
  await pool.close();
  const app = withApp(t);
  app.register(oxbowFastify, { pool });
  await rejection(boot(app), PoolClosedError);
});

test('a NullPool is a pool as well', async (t) => {
  const pool = new NullPool(server.config);
  t.after(() => pool.close().then(() => {}));
  const app = withApp(t);
  await app.register(oxbowFastify, { pool });
  assert.equal((await app.oxbow.query('SELECT 1')).rowCount, 1);
});

test('several pools have a decorator each', async (t) => {
  const app = withApp(t);
  await app.register(oxbowFastify, { ...server.config, name: 'orders' });
  await app.register(oxbowFastify, { ...server.config, name: 'reports', decorator: 'reports' });
  assert.deepEqual([app.oxbow.name, app.reports.name], ['orders', 'reports']);
  assert.equal(app.getDecorator<Pool>('reports'), app.reports);
  await app.close();
  assert.deepEqual([app.oxbow.phase, app.reports.phase], ['closed', 'closed']);
});

test('a decorator that is taken fails the boot and connects to nothing', async (t) => {
  const deaf = await deafServer(t);
  const app = withApp(t);
  app.register(oxbowFastify, server.config);
  app.register(oxbowFastify, { ...server.config, host: deaf.host, port: deaf.port });
  await assert.rejects(boot(app), { code: 'FST_ERR_DEC_ALREADY_PRESENT', message: /oxbow/ });
  assert.equal(deaf.accepted, 0);
});

test('the pool is seen where it is registered and in the scopes below, and in no other', async (t) => {
  const app = withApp(t);
  const seen: Record<string, string | boolean> = {};
  const tenant =
    (name: string): FastifyPluginAsync =>
    async (scope) => {
      await scope.register(oxbowFastify, { ...server.config, name });
      seen[name] = scope.oxbow.name;
      await scope.register(async (below) => {
        seen[`below ${name}`] = below.oxbow.name;
      });
    };
  app.register(tenant('red'));
  app.register(tenant('blue'));
  await app.ready();
  seen.root = app.hasDecorator('oxbow');
  assert.deepEqual(seen, { red: 'red', 'below red': 'red', blue: 'blue', 'below blue': 'blue', root: false });
});

test('a handler that throws inside a transaction rolls it back, answers with its error, and holds nothing', async (t) => {
  const app = withApp(t);
  await app.register(oxbowFastify, { ...server.config, max: 1 });
  await app.oxbow.query('CREATE TABLE orders (item text)');
  app.post<{ Body: { item: string } }>('/orders', (request) =>
    app.oxbow.transaction(async (tx) => {
      await tx.query('INSERT INTO orders VALUES ($1)', [request.body.item]);
      if (request.body.item === 'bad') throw Object.assign(new Error('no such item'), { statusCode: 422 });
      return { ordered: request.body.item };
    }),
  );
  const good = await app.inject({ method: 'POST', url: '/orders', payload: { item: 'good' } });
  const bad = await app.inject({ method: 'POST', url: '/orders', payload: { item: 'bad' } });
  assert.deepEqual([good.statusCode, good.json()], [200, { ordered: 'good' }]);
  assert.deepEqual([bad.statusCode, bad.json<{ message: string }>().message], [422, 'no such item']);
  app.oxbow.assertIdle();
  assert.deepEqual((await app.oxbow.query('SELECT item FROM orders')).rows, [{ item: 'good' }]);
});

test('the signal of a request takes the query of a client that went away off the server', async (t) => {
  const app = withApp(t);
  const name = freshName();
  await app.register(oxbowFastify, { ...server.config, name, max: 1 });
  app.get('/report', (request) => app.oxbow.query({ text: 'SELECT pg_sleep(60)', signal: request.signal }));
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  assert.ok(address !== null && typeof address === 'object');
  const request = get({ host: '127.0.0.1', port: address.port, path: '/report' });
  request.on('error', () => {}); // the hang-up is ours
  const active = async (): Promise<number | null> =>
    (await admin.query("SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'", [name]))
      .rowCount;
  await eventually('the query runs', async () => (await active()) === 1);
  request.destroy();
  await eventually('the query is off the server', async () => (await active()) === 0);
  await eventually('its connection is idle again', () => app.oxbow.idleCount === 1);
  assert.equal(app.oxbow.stats().cancelled, 1);
});

test("what the pool reports goes to the app's log", async (t) => {
  const { logger, lines } = withLog();
  const app = withApp(t, { logger });
  await app.register(oxbowFastify, { ...server.config, name: 'orders' });
  const client = await app.oxbow.connect();
  await client.query('BEGIN');
  client.release();
  await eventually('it is reported', () => lines.some((line) => line.includes('OXBOW_OPEN_TRANSACTION')));
});

test('without a logger of Fastify, what the pool reports is a process warning, and a logger of its own goes first', async (t) => {
  const said: string[] = [];
  const hear = (warning: Error): void => void said.push(warning.message);
  process.on('warning', hear);
  t.after(async () => void process.removeListener('warning', hear));
  const mute = withApp(t);
  await mute.register(oxbowFastify, server.config);
  const client = await mute.oxbow.connect();
  await client.query('BEGIN');
  client.release();
  await eventually('it is reported', () => said.some((line) => line.includes(mute.oxbow.name)));

  const told: string[] = [];
  // Reports have a code; a logger hears of phases as well.
  const note = (about: object, message: string): void => {
    if (Reflect.has(about, 'code')) told.push(message);
  };
  const app = withApp(t, { logger: withLog().logger });
  await app.register(oxbowFastify, { ...server.config, logger: { debug: note, info: note, warn: note, error: note } });
  const other = await app.oxbow.connect();
  await other.query('BEGIN');
  other.release();
  await eventually('it is reported', () => told.length === 1);
});

test('close says how long lent connections are waited for, and the log says who still held one', async (t) => {
  const { logger, lines } = withLog();
  const app = withApp(t, { logger });
  await app.register(oxbowFastify, { ...server.config, close: { drainMs: 0, cancelMs: 50 } });
  const lease = await app.oxbow.acquire({ label: 'forgotten' });
  const began = performance.now();
  await app.close();
  assert.ok(performance.now() - began < 15_000, 'the default would have waited for 30 s');
  assert.equal(app.oxbow.phase, 'closed');
  assert.ok(
    lines.some((line) => line.includes('still lent') && line.includes('forgotten')),
    lines.join(''),
  );
  lease.release();
});

test('what Fastify reads of a plugin’s options does not reach the pool', async (t) => {
  const app = withApp(t);
  const options: OxbowFastifyOptions = { ...server.config, max: 3 };
  await app.register(oxbowFastify, () => ({ ...options, prefix: '/v1', logLevel: 'warn', logSerializers: {} }));
  const keys = Object.keys(app.oxbow.options);
  assert.equal(app.oxbow.options.max, 3);
  for (const key of ['prefix', 'logLevel', 'logSerializers', 'decorator', 'open', 'close', 'pool']) {
    assert.ok(!keys.includes(key), key);
  }
});

test('an option that is wrong fails the boot, and the options object is left as it was', async (t) => {
  const app = withApp(t);
  const options = { ...server.config, decorator: 'oxbow', max: 0 };
  const before = structuredClone(options);
  app.register(oxbowFastify, options);
  await assert.rejects(boot(app), /option "max"/);
  assert.deepEqual(options, before);
});

/** The key that the error names, and what is registered beside what leads to a server. */
const NONSENSE: readonly (readonly [string, object])[] = [
  ['decorater', { decorater: 'db' }],
  ['decorator', { decorator: '' }],
  ['decorator', { decorator: 5 }],
  ['openn', { openn: { wait: false } }],
  ['timeout', { open: { timeout: 5 } }],
  ['open', { open: 5 }],
  ['drain', { close: { drain: 5 } }],
  ['close', { close: 5 }],
  ['pool', { pool: {} }],
  ['pool', { pool: null }],
];

for (const [option, more] of NONSENSE) {
  test(`the plugin option ${JSON.stringify(more)} fails the boot (${option}) and connects to nothing`, async (t) => {
    const deaf = await deafServer(t);
    const app = withApp(t);
    const { pool } = more as { pool?: unknown };
    const given = pool === undefined ? { ...server.config, host: deaf.host, port: deaf.port, ...more } : more;
    Reflect.apply(app.register, app, [oxbowFastify, given]);
    assert.equal((await rejection(boot(app), OptionError)).option, option);
    assert.equal(app.hasDecorator('oxbow'), false);
    assert.equal(deaf.accepted, 0);
  });
}

test('a given pool has its options already: any more beside it fail the boot, and it is not opened', async (t) => {
  for (const [option, more] of Object.entries({ max: { max: 4 }, close: { close: { drainMs: 5 } } })) {
    const pool = withPool(t, server.config);
    const app = withApp(t);
    Reflect.apply(app.register, app, [oxbowFastify, { pool, ...more }]);
    const error = await rejection(boot(app), OptionError);
    assert.equal(error.option, option);
    assert.match(error.expected, /"pool"/);
    assert.equal(pool.phase, 'created');
  }
});

test('a given pool may stand beside what Fastify reads, and beside options that are undefined', async (t) => {
  const pool = withPool(t, server.config);
  const app = withApp(t);
  const options: object = {
    pool,
    prefix: '/v1',
    logLevel: 'warn',
    logSerializers: {},
    max: undefined,
    close: undefined,
  };
  Reflect.apply(app.register, app, [oxbowFastify, options]);
  await boot(app);
  assert.equal(app.oxbow, pool);
});

test('a plain text as options fails the boot without showing it', async (t) => {
  const app = withApp(t);
  Reflect.apply(app.register, app, [oxbowFastify, 'postgres://u:hunter2@127.0.0.1:1/db']);
  const error = await rejection(boot(app), OptionError);
  assert.equal(error.option, 'connectionString');
  assert.ok(!error.message.includes('hunter2'));
  assert.equal(app.hasDecorator('oxbow'), false);
});

test('a plugin can name this one as a dependency', async (t) => {
  const app = withApp(t);
  app.register(oxbowFastify, server.config);
  const dependent = Object.assign(async (): Promise<void> => {}, {
    [Symbol.for('plugin-meta')]: { name: 'shop', dependencies: ['oxbow'], decorators: { fastify: ['oxbow'] } },
  });
  app.register(dependent);
  await app.ready();
  assert.match(app.printPlugins(), /oxbow/);
});

/** Never run: what must compile, and what must not. */
export function types(pool: Pool): void {
  const http2 = Fastify({ http2: true });
  http2.register(oxbowFastify, { connectionString: 'postgres://' });
  const logged = Fastify({
    loggerInstance: {
      ...console,
      fatal: console.error,
      trace: console.log,
      level: 'info',
      silent() {},
      child: () => {
        throw new Error();
      },
    },
  });
  logged.register(oxbowFastify, { pool, decorator: 'reports', open: { timeoutMs: 5_000 } });
  // @ts-expect-error a pool that was passed in has its options already
  logged.register(oxbowFastify, { pool, max: 5 });
  // @ts-expect-error whoever made the pool closes it
  logged.register(oxbowFastify, { pool, close: { drainMs: 1 } });
  // @ts-expect-error an option that no pool has
  logged.register(oxbowFastify, { maximum: 5 });
}
