// Bad input (issue 2): wrong credentials, wrong places and peers that are no PostgreSQL. Each is a clear error in bounded time
// that names what and where and shows no secret; the process lives, nothing stays open, and the pool can be used or closed.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test, { type TestContext } from 'node:test';
import { inspect } from 'node:util';
import {
  ConnectError,
  isOxbowError,
  OptionError,
  type OxbowError,
  Pool,
  type PoolOptions,
  PoolTimeoutError,
} from '../../src/doors/index.ts';
import { Pool as StrictPool } from '../../src/doors/pg.ts';
import {
  deafServer,
  eventually,
  rejection,
  runProgram,
  unusedPort,
  withClient,
  withPool,
  withServer,
} from './harness.ts';

const SECRET = 'hunter2-very-secret';
const server = await withServer(test, { url: false, auth: 'scram', password: SECRET });
const good = { ...server.config };

/** Answers HTTP, as whatever listens on port 80 does. */
async function httpServer(t: TestContext): Promise<number> {
  const http = createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(
    () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  );
  const address = http.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** What keeps the process alive at this moment, by kind: only sockets and timers are a pool's. */
function resources(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind.includes('TCP') || kind === 'GetAddrInfoReqWrap');
}

/** Everything that shows of a thing that somebody logs: fields, causes, JSON, text. */
function shown(value: unknown): string {
  return `${inspect(value, { depth: 20 })} ${JSON.stringify(value)} ${String(value)}`;
}

interface Case {
  /** The options that are wrong, given what a test has set up. */
  options(t: TestContext): PoolOptions | Promise<PoolOptions>;
  readonly code: string | undefined;
  /** Cannot heal: rejects at once, whatever the timeout. */
  readonly hopeless: boolean;
  readonly says: RegExp;
}

const CASES: Record<string, Case> = {
  'a wrong password': {
    options: () => ({ ...good, password: `${SECRET}-no-longer` }),
    code: '28P01',
    hopeless: true,
    says: /cannot connect to 127\.0\.0\.1:\d+\/\w+: password authentication failed for user/,
  },
  'no password': {
    options: () => {
      const { password: _none, ...rest } = good;
      return rest;
    },
    code: undefined,
    hopeless: true,
    says: /cannot connect to 127\.0\.0\.1:\d+\/\w+: .*password must be a/,
  },
  'a user that does not exist': {
    options: () => ({ ...good, user: 'nobody_here' }),
    code: '28P01',
    hopeless: true,
    says: /password authentication failed for user "nobody_here"/,
  },
  'an unknown database': {
    options: () => ({ ...good, database: 'no_such_database' }),
    code: '3D000',
    hopeless: true,
    says: /cannot connect to 127\.0\.0\.1:\d+\/no_such_database: database "no_such_database" does not exist/,
  },
  'a closed port': {
    options: async () => ({ ...good, port: await unusedPort() }),
    code: 'ECONNREFUSED',
    hopeless: false,
    says: /ECONNREFUSED 127\.0\.0\.1:\d+/,
  },
  'a deaf server': {
    options: async (t) => ({ ...good, port: (await deafServer(t)).port, connectTimeoutMs: 100 }),
    code: undefined,
    hopeless: false,
    says: /no answer within connectTimeoutMs \(100 ms\)/,
  },
  'a host name that does not exist': {
    // The look-up is the system's, and may be slow to say no.
    options: () => ({ ...good, host: 'no-such-host.invalid', acquireTimeoutMs: 1_000 }),
    code: 'ENOTFOUND|EAI_AGAIN',
    hopeless: false,
    says: /(ENOTFOUND|EAI_AGAIN) no-such-host\.invalid/,
  },
  'a server that speaks HTTP': {
    options: async (t) => ({ ...good, port: await httpServer(t) }),
    code: undefined,
    hopeless: false,
    says: /Connection terminated unexpectedly|ECONNRESET|EPIPE/,
  },
  'TLS demanded from a server without it': {
    options: () => ({ ...good, ssl: { rejectUnauthorized: false } }),
    code: undefined,
    hopeless: true,
    says: /cannot connect to 127\.0\.0\.1:\d+\/\w+: The server does not support SSL connections/,
  },
  'a connection string that is no URL': {
    options: () => ({ connectionString: `postgres://user:${SECRET}@host:not-a-port/db` }),
    code: 'ERR_INVALID_URL',
    hopeless: true,
    says: /cannot connect: the connection string is not a valid URL/,
  },
  'a Unix socket that is not there': {
    options: () => ({ ...good, host: '/nowhere/at/all' }),
    code: 'ENOENT',
    hopeless: false,
    says: /ENOENT .*\/nowhere\/at\/all/,
  },
};

/** What is true of each such error. */
function clear(error: OxbowError, { code, says, hopeless }: Case): void {
  assert.ok(isOxbowError(error));
  const connectError = error instanceof ConnectError ? error : error.cause;
  if (hopeless) {
    assert.ok(error instanceof ConnectError, shown(error));
    assert.equal(error.kind, 'POOL_CONNECT_FAILED');
    assert.equal(error.transient, false);
    if (code !== undefined) assert.equal(error.code, code);
  } else {
    assert.ok(error instanceof PoolTimeoutError, shown(error));
    assert.equal(error.kind, 'POOL_TIMEOUT');
    assert.ok(connectError instanceof Error);
    if (code !== undefined) assert.match(String(Reflect.get(connectError, 'code')), new RegExp(`^(${code})$`));
  }
  assert.match(error.message, says);
  assert.ok(!shown(error).includes(SECRET), shown(error));
}

for (const [what, bad] of Object.entries(CASES)) {
  test(`${what}: open() and each use fail clearly and in bounded time, and the pool can be closed`, async (t) => {
    const before = resources();
    const options = await bad.options(t);
    const told: unknown[] = [];
    const one = withPool(t, { max: 2, acquireTimeoutMs: 1_000, ...options });
    one.observe({
      openFailed: (event) => told.push(event),
      refused: (event) => told.push(event),
      report: (event) => told.push(event),
    });
    const began = performance.now();
    const opened = await rejection(one.open(), Error);
    assert.equal(one.phase, 'created');
    const uses = await Promise.all(
      [one.query('SELECT 1'), one.acquire(), one.connect(), one.use(() => 1), one.transaction(() => 1)].map((use) =>
        rejection(use, Error),
      ),
    );
    assert.ok(performance.now() - began < 8_000);
    for (const error of [opened, ...uses]) {
      assert.ok(isOxbowError(error), shown(error));
      clear(error, bad);
    }
    assert.ok(told.length > 0);
    assert.ok(!shown(told).includes(SECRET), shown(told));
    for (const face of [one, one.options, one.snapshot(), one.stats()]) assert.ok(!shown(face).includes(SECRET));
    const report = await one.close();
    assert.deepEqual(report.stillHeld, []);
    assert.equal(one.snapshot().size, 0);
    await eventually(`nothing of it is left open: ${resources().join()}`, () => {
      const now = resources().filter((kind) => kind !== 'TCPServerWrap').length;
      return now <= before.filter((kind) => kind !== 'TCPServerWrap').length;
    });
  });
}

const UNSET: Record<string, { options: string; hint: boolean }> = {
  'is undefined': { options: '{ connectionString: undefined }', hint: true },
  'is empty': { options: "{ connectionString: '' }", hint: true },
  'is undefined and a port was given': { options: '{ connectionString: undefined, port: 1 }', hint: false },
  'is undefined and a host was given': {
    options: "{ connectionString: undefined, host: '127.0.0.1', port: 1 }",
    hint: false,
  },
  'was not given': { options: '{ port: 1 }', hint: false },
};

for (const [what, { options, hint }] of Object.entries(UNSET)) {
  test(`where nothing answers and connectionString ${what}, the error ${hint ? 'says so' : 'does not speak of it'}`, async () => {
    // PGPORT: nothing must be found at pg's default by chance.
    const program = `
      delete process.env.PGHOST;
      process.env.PGPORT = '1';
      await new Pool({ acquireTimeoutMs: 300, ...${options} }).query('SELECT 1').catch((error) => console.log(error.message));`;
    const { stdout, stderr } = await runProgram(program, good);
    assert.match(stdout, /ECONNREFUSED/, stderr);
    const words =
      /\(no server was configured: "connectionString" is (undefined|empty), so pg's default localhost:1 was used\)/;
    assert.equal(words.test(stdout), hint, stdout);
  });
}

test('a pool that failed is of use again when the cause is gone', async (t) => {
  let password = 'wrong';
  const one = withPool(t, { ...good, password: () => password });
  await rejection(one.open(), ConnectError);
  await rejection(one.query('SELECT 1'), ConnectError);
  password = SECRET;
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal((await one.open()).phase, 'open');
});

test('a database that is made later is found by a pool that was open all the time', async (t) => {
  const admin = await withClient(t, good);
  const one = withPool(t, { ...good, database: 'made_later' });
  await rejection(one.query('SELECT 1'), ConnectError);
  await admin.query('CREATE DATABASE made_later');
  assert.deepEqual((await one.query('SELECT current_database() AS db')).rows, [{ db: 'made_later' }]);
});

test('a password that is no longer right costs a living pool nothing', async (t) => {
  let password = SECRET;
  const one = withPool(t, { ...good, max: 2, password: () => password, acquireTimeoutMs: 1_500 });
  const lease = await one.acquire();
  password = 'rotated';
  const waiting = one.query('SELECT 1 AS one');
  await eventually('the second connect was refused', () => one.stats().connectsFailed > 0);
  lease.release();
  assert.deepEqual((await waiting).rows, [{ one: 1 }]);
});

test('a server without room is a timeout that says so, and those who are connected go on', async (t) => {
  const admin = await withClient(t, good);
  await admin.query(`CREATE ROLE narrow LOGIN PASSWORD '${SECRET}' CONNECTION LIMIT 1`);
  const one = withPool(t, { ...good, user: 'narrow', max: 3 });
  const lease = await one.acquire();
  const error = await rejection(one.acquire({ acquireTimeoutMs: 300 }), PoolTimeoutError);
  assert.equal(Reflect.get(Object(error.cause), 'code'), '53300');
  assert.match(error.message, /too many connections for role "narrow"/);
  const waiting = one.query('SELECT 2 AS two');
  assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  lease.release();
  assert.deepEqual((await waiting).rows, [{ two: 2 }]);
  // A connect that was tried for the waiter may still be on its way to being refused.
  await eventually('the pool is back at one', () => one.snapshot().size === 1);
  assert.equal(one.snapshot().idle, 1);
});

const HUNG: Record<string, string> = {
  'a wrong password': '{ ...config, password: "wrong" }',
  'a closed port': '{ ...config, port: 1 }',
  'an unknown database': '{ ...config, database: "none" }',
  'a host that does not exist': '{ ...config, host: "no-such-host.invalid" }',
  'a connection string that is no URL': '{ connectionString: "postgres://u:p@h:port/db" }',
};

test('after each of these a process that neither closes the pool nor has anything else to do ends by itself', async () => {
  await Promise.all(
    Object.entries(HUNG).map(async ([what, options]) => {
      const program = `
        const pool = new Pool({ acquireTimeoutMs: 300, ...${options} });
        await pool.query('SELECT 1').then(() => console.log('served'), (error) => console.log(error.name));
        await pool.open({ timeoutMs: 300 }).catch((error) => console.log(error.name));`;
      const { code, stdout, stderr } = await runProgram(program, good);
      assert.equal(code, 0, `${what}: ${stderr}`);
      assert.match(stdout, /^(ConnectError|PoolTimeoutError)\n(ConnectError|PoolTimeoutError)\n$/, what);
      assert.equal(stderr, '', what);
    }),
  );
});

test('a failure that nobody handles ends the process as an unhandled rejection, without the password', async () => {
  const url = `postgres://someone:${SECRET}@127.0.0.1:1/db`;
  const program = "new Pool({ connectionString: config.url, acquireTimeoutMs: 100 }).query('SELECT 1');";
  const { code, stdout, stderr } = await runProgram(program, { url });
  assert.equal(code, 1);
  assert.match(stderr, /PoolTimeoutError/);
  assert.ok(!`${stdout}${stderr}`.includes(SECRET), stderr);
});

/** One value out of range for each option. */
const OUT_OF_RANGE: Record<string, unknown> = {
  connectionString: 5,
  connection: 'postgres://u:hunter2-very-secret@h/db',
  min: -1,
  max: 0,
  name: '',
  acquireTimeoutMs: -1,
  queryTimeoutMs: 0,
  connectTimeoutMs: 0,
  idleTimeoutMs: 1.5,
  maxLifetimeMs: 0,
  maxUses: 0,
  maxWaiting: 0,
  configure: 'SET x = 1',
  check: 'sometimes',
  checkAfterIdleMs: -5,
  checkTimeoutMs: Infinity,
  reset: 'everything',
  returnTimeoutMs: 0,
  keepAlive: 'yes',
  keepAliveInitialDelayMillis: -1,
  idlePingMs: 0,
  connectConcurrency: 0,
  reconnectTimeoutMs: -1,
  onReconnectFailed: {},
  allowExitOnIdle: 1,
  autoOpen: 'no',
  dev: 'yes',
  logger: {},
  clock: {},
  driver: {},
  connectionTimeoutMillis: -1,
  query_timeout: 'soon',
  idleTimeoutMillis: 'never',
  maxLifetimeSeconds: -1,
  onConnect: 5,
  poolSize: 0,
  maxUsess: 5,
  acquireTimeoutMS: 5,
  idleTimeout_Ms: 5,
  conectionString: `postgres://u:${SECRET}@h/db`,
};

for (const [option, value] of Object.entries(OUT_OF_RANGE)) {
  test(`the constructor refuses ${option}: ${inspect(value, { breakLength: Infinity }).replace(SECRET, '…')} and has opened nothing`, () => {
    const before = process.getActiveResourcesInfo();
    const make = (): Pool => Reflect.construct(Pool, [{ ...good, [option]: value }]);
    assert.throws(make, (error: unknown) => {
      assert.ok(error instanceof OptionError, String(error));
      assert.equal(error.kind, 'INVALID_OPTION');
      assert.equal(error.option, option);
      assert.ok(error.expected.length > 3);
      assert.ok(error.message.includes(option) && error.message.includes(error.expected), error.message);
      assert.ok(!shown(error).includes(SECRET), shown(error));
      return true;
    });
    assert.deepEqual(process.getActiveResourcesInfo(), before);
  });
}

test('what is no object with options is refused', () => {
  for (const nonsense of [5, true, null, [], () => {}]) {
    assert.throws(() => Reflect.construct(Pool, [nonsense]), OptionError, String(nonsense));
  }
});

const away = (what: string) => (): never => {
  throw Object.assign(new Error(`no ${what} today`), { code: 'EAWAY' });
};
const HOOKS: Record<string, { options: PoolOptions; says: RegExp }> = {
  configure: {
    options: { ...good, configure: away('role') },
    says: /^no role today \(shop: connected to 127\.0\.0\.1:\d+\/\w+, but configure failed\)$/,
  },
  password: {
    options: { ...good, password: away('token') },
    says: /^no token today \(shop: cannot connect to 127\.0\.0\.1:\d+\/\w+: the function in option "password" threw\)$/,
  },
  connection: {
    options: { connection: away('place') },
    says: /^no place today \(shop: cannot connect: the function in option "connection" threw\)$/,
  },
};

for (const [name, { options, says }] of Object.entries(HOOKS)) {
  test(`a function ${name} that throws is named in the error, and its own error is the cause`, async (t) => {
    const told: Error[] = [];
    const one = withPool(t, { ...options, name: 'shop', max: 1, acquireTimeoutMs: 1_000 });
    one.observe({ openFailed: ({ error }) => told.push(error) });
    const { message, cause } = await rejection(one.query('SELECT 1'), PoolTimeoutError);
    assert.equal(cause, told.at(-1));
    assert.match(message, /no \w+ today/);
    const strict = new StrictPool({ ...options, name: 'shop', max: 1 });
    const error = await rejection(strict.query('SELECT 1'), ConnectError);
    await strict.end();
    assert.match(error.message, says);
    assert.equal(error.code, 'EAWAY');
    assert.equal(Reflect.get(Object(error.cause), 'message'), /no \w+ today/.exec(error.message)?.[0]);
  });
}
