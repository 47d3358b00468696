// No secret anywhere: a marked password, given in each way there is, looked for by a walk over all that a pool gives out while things go right and
// wrong. Not looked into are pg's own clients (`lease.client`, `error.client`, what events carry): a client holds its password by pg's contract, and
// hides it from whoever prints it; and values behind getters of `pool.options`, where libraries read them by name.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import { globalPool, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import { joinPool } from '../../src/doors/threads.ts';
import { findSecret } from '../kit/secrets.ts';
import { deafServer, freshName, unusedPort, withClient, withServer } from './harness.ts';

const PLAIN = 's3cr3t-MARK-47';
const SPECIAL = "s3cr3t/MARK@47:?#%'é";
const server = await withServer(test, { url: false, auth: 'scram', password: 'admin' });
const { host, port, database } = server.config;
const admin = await withClient(test, server.config);
for (const [role, password] of Object.entries({ plain: PLAIN, special: SPECIAL })) {
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${pg.escapeLiteral(password)}`);
}

function urlOf(user: string, password: string, place = `${host}:${port}`): string {
  return `postgres://${user}:${encodeURIComponent(password)}@${place}/${database}`;
}

/** pg's own. */
function isPgs(value: object): boolean {
  return value instanceof pg.Client;
}

function assertNone(words: readonly unknown[], marks: readonly string[]): void {
  for (const word of words) {
    const where = findSecret(word, marks, { except: isPgs });
    assert.equal(where, undefined, `it shows at ${where} of ${String(word).slice(0, 100)}`);
  }
}

/** All that a pool says, and all that is thrown. */
class Overheard {
  readonly words: unknown[] = [];
  readonly note = (...said: unknown[]): void => void this.words.push(...said);

  pool(t: TestContext, options: PoolOptions, Class: typeof Pool | typeof PgPool = Pool): Pool | undefined {
    const { note } = this;
    const logger = { debug: note, info: note, warn: note, error: note };
    let pool: Pool;
    try {
      pool = new Class({ name: freshName(), max: 2, acquireTimeoutMs: 200, logger, log: note, ...options });
    } catch (error) {
      note(error);
      return undefined;
    }
    process.on('warning', note);
    t.after(async () => {
      await pool.close({ drainMs: 0, cancelMs: 0 });
      process.off('warning', note);
    });
    const names = ['phase', 'opening', 'opened', 'openFailed', 'waiting', 'lent', 'refused', 'returned'] as const;
    pool.observe(Object.fromEntries([...names, 'retired', 'lost', 'closed', 'report'].map((name) => [name, note])));
    for (const name of ['connect', 'acquire', 'release', 'remove', 'error']) pool.on(name as 'connect', note);
    return pool;
  }

  /** As it stands. */
  look(pool: Pool): void {
    this.note(
      pool,
      pool.options,
      { ...pool.options },
      pool.snapshot(),
      pool.stats(),
      pool.holders(),
      String(pool.phase),
    );
    this.note(Object.getOwnPropertyDescriptors(pool.options));
  }

  /** Every way to ask, and what it is told. */
  async use(pool: Pool): Promise<void> {
    const { note } = this;
    const lost = new Promise<void>((resolve) => {
      pool.connect((error, client, done) => {
        note(error, client, done);
        done();
        resolve();
      });
    });
    this.look(pool);
    await Promise.all([
      pool.open().then(note, note),
      pool.query('SELECT 1').then(note, note),
      pool.query('SELECT nonsense').then(note, note),
      pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 20 }).then(note, note),
      pool.query('BEGIN').then(note, note),
      pool.acquire({ signal: AbortSignal.timeout(1) }).then((lease) => lease.release(), note),
      pool.use((lease) => note(lease, lease.client, lease.signal, lease.heldMs)).then(note, note),
      pool.transaction((tx) => note(tx)).then(note, note),
      lost,
    ]);
    this.look(pool);
    note(await pool.check().catch((error: unknown) => error));
  }

  /** What becomes of leases: late, lost, revoked, released. */
  async lose(pool: Pool): Promise<void> {
    const { note } = this;
    const [one, two] = await Promise.all([pool.acquire({ label: 'one' }), pool.acquire({ label: 'two' })]);
    await pool.acquire({ acquireTimeoutMs: 5 }).then(note, note);
    this.look(pool);
    const { rows } = await one.query('SELECT pg_backend_pid() AS pid');
    const dying = one.query('SELECT pg_sleep(60)').then(note, note);
    await admin.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    await dying;
    await one.query('SELECT 1').then(note, note);
    note(one, one.signal.reason);
    one.release();
    await two.query('BEGIN');
    two.release();
    await two.query('SELECT 1').then(note, note);
    try {
      two.release();
    } catch (error) {
      note(error);
    }
    await pool
      .use(({ client }) => client.query('SELECT pg_sleep(60)'), { signal: AbortSignal.timeout(20) })
      .then(note, note);
    await pool.pause({ borrowers: 'reject' });
    await pool.query('SELECT 1').then(note, note);
    pool.resume();
    const cut = await pool.acquire();
    this.note(await pool.close({ drainMs: 0, cancelMs: 0 }), cut, cut.signal.reason);
    await cut.query('SELECT 1').then(note, note);
    await pool.query('SELECT 1').then(note, note);
    await pool.end().then(note, note);
    this.look(pool);
  }
}

/** Each way to give a password. */
function ways(user: string, password: string): Record<string, PoolOptions> {
  const parts = { host, port, database, user };
  return {
    'in a URL': { connectionString: urlOf(user, password) },
    'in the query of a URL': {
      connectionString: `postgres://${host}:${port}/${database}?user=${user}&password=${encodeURIComponent(password)}`,
    },
    'as an option': { ...parts, password },
    'by a function': { ...parts, password: () => Promise.resolve(password) },
    'by connection(), as parts': { connection: async () => ({ ...parts, password }) },
    'by connection(), as a URL': { connection: async () => urlOf(user, password) },
  };
}

for (const [user, password] of Object.entries({ plain: PLAIN, special: SPECIAL })) {
  for (const [how, options] of Object.entries(ways(user, password))) {
    for (const [door, Class] of [
      ['oxbow', Pool],
      ['oxbow/pg', PgPool],
    ] as const) {
      test(`a ${user} password given ${how} to ${door} works, and is found nowhere`, async (t) => {
        const heard = new Overheard();
        const pool = heard.pool(t, { ...options, acquireTimeoutMs: 8_000 }, Class);
        assert.ok(pool !== undefined);
        assert.deepEqual((await pool.query('SELECT current_user::text AS who')).rows, [{ who: user }]);
        await heard.use(pool);
        await heard.lose(pool);
        assert.ok(heard.words.length > 100);
        assertNone(heard.words, [password]);
      });
    }
  }
}

/** A place where something is wrong. */
const WRONG: Record<string, (t: TestContext) => Promise<{ host: string; port: number; database?: string }>> = {
  'a wrong password': async () => ({ host: String(host), port: Number(port) }),
  'a closed port': async () => ({ host: '127.0.0.1', port: await unusedPort() }),
  'a name that nobody knows': async () => ({ host: 'no-such-host.invalid', port: 5432 }),
  'a folder without a socket': async () => ({ host: '/nowhere/at/all', port: 5432 }),
  'a server that is deaf': async (t) => {
    const deaf = await deafServer(t);
    return { host: deaf.host, port: deaf.port };
  },
  'an unknown database': async () => ({ host: String(host), port: Number(port), database: 'nowhere' }),
};

for (const [what, place] of Object.entries(WRONG)) {
  test(`${what}: nothing of a password is found, however it was given`, async (t) => {
    const at = await place(t);
    const parts = { database: String(database), ...at, user: 'plain' };
    const password = what === 'an unknown database' ? PLAIN : SPECIAL;
    const url = `postgres://plain:${encodeURIComponent(password)}@${encodeURIComponent(at.host)}:${at.port}/${parts.database}`;
    const given: PoolOptions[] = [
      { connectionString: url },
      { ...parts, password },
      { ...parts, password: async () => password },
      { connection: () => url },
      { ...parts, password, ssl: { key: `${PLAIN}-key`, passphrase: PLAIN } },
    ];
    const heard = new Overheard();
    await Promise.all(
      given.map(async (options) => {
        const pool = heard.pool(t, { connectTimeoutMs: 100, ...options });
        if (pool !== undefined) await heard.use(pool);
      }),
    );
    assert.ok(heard.words.length > 50);
    assertNone(heard.words, [password, PLAIN]);
  });
}

// A server, or whatever answers in its place, that repeats what it was told.

function errorMessage(severity: string, code: string, text: string): Buffer {
  const fields = { S: severity, V: severity, C: code, M: text, D: `detail ${text}`, H: `hint ${text}`, W: text };
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([key, value]) => `${key}${value}\0`)
      .join('')}\0`,
  );
  return message('E', body);
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const READY = message('Z', Buffer.from('I'));
const WELCOME = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('S', Buffer.from('server_version\x0016.0\0')),
  message('K', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])),
  READY,
]);

type When = 'at the greeting' | 'to a query' | 'to a query, and goes on' | 'while idle';

/** Says `text` in an error, at a certain moment. */
async function babbler(t: TestContext, when: When, code: string, text: string): Promise<number> {
  const sockets = new Set<Socket>();
  const babbling = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let greeted = false;
    const die = (): void => void socket.end(errorMessage('FATAL', code, text));
    socket.on('data', () => {
      if (!greeted) {
        greeted = true;
        if (when === 'at the greeting') die();
        else socket.write(WELCOME);
        if (when === 'while idle') setTimeout(die, 30).unref();
      } else if (when === 'to a query') die();
      else if (when === 'to a query, and goes on')
        socket.write(Buffer.concat([errorMessage('ERROR', '42601', text), READY]));
    });
  });
  await new Promise<void>((resolve) => babbling.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => babbling.close(resolve));
  });
  const address = babbling.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

for (const speaker of ['auto', 'pg'] as const) {
  for (const [when, codes] of Object.entries({
    'at the greeting': ['28P01', '57P03', '53300'],
    'to a query': ['57P01', 'XX000'],
    'to a query, and goes on': ['42601'],
    'while idle': ['57P01'],
  } satisfies Record<When, string[]>)) {
    for (const code of codes) {
      test(`a server that repeats the password in an error ${when} (${code}), speaker ${speaker}: it is taken out`, async (t) => {
        const heard = new Overheard();
        const told = `login by postgres://plain:${encodeURIComponent(SPECIAL)}@h/d or password=${SPECIAL} or "${PLAIN}" failed`;
        const at = await babbler(t, when as When, code, told);
        const place = `127.0.0.1:${at}`;
        const parts = { host: '127.0.0.1', port: at, user: 'plain', database: 'd' };
        await Promise.all(
          [
            { connectionString: urlOf('plain', SPECIAL, place) },
            { ...parts, password: SPECIAL },
            { connection: () => ({ ...parts, password: SPECIAL }) },
            { connection: async () => urlOf('plain', SPECIAL, place) },
          ].map(async (options) => {
            const pool = heard.pool(t, { ...options, speaker, ssl: false });
            assert.ok(pool !== undefined);
            const lease = await pool.acquire().catch(heard.note);
            if (lease !== undefined) {
              lease.signal.addEventListener('abort', () => heard.note(lease.signal.reason));
              const { client } = lease;
              client.on('error', heard.note);
              await lease.query('SELECT 1').then(heard.note, heard.note);
              await client.query('SELECT 1').then(heard.note, heard.note);
              lease.release();
            }
            await pool.query('SELECT 1').then(heard.note, heard.note);
            await new Promise((resolve) => setTimeout(resolve, 60));
            heard.look(pool);
          }),
        );
        assert.ok(heard.words.some((word) => word instanceof Error && /login by/.test(word.message)));
        assertNone(heard.words, [SPECIAL]);
      });
    }
  }
}

test('what a server says stays legible where the password is an ordinary word, or the name of the user', async (t) => {
  for (const password of ['password', 'postgres', 'plain', 'abc', '5432']) {
    const at = await babbler(t, 'at the greeting', '28P01', 'password authentication failed for user "plain" abc 5432');
    const heard = new Overheard();
    const pool = heard.pool(t, { host: '127.0.0.1', port: at, user: 'plain', database: 'postgres', password });
    const error: unknown = await pool?.query('SELECT 1').catch((failed: unknown) => failed);
    assert.match(String(error), /password authentication failed for user "plain" abc 5432/);
  }
});

test('functions of the user that throw the very password: it is taken out', async (t) => {
  const heard = new Overheard();
  const thrown = (): never => {
    throw Object.assign(new Error(`cannot log in with ${PLAIN}`), { url: urlOf('plain', PLAIN), cause: PLAIN });
  };
  let once = false;
  for (const options of [
    { host, port, database, user: 'plain', password: PLAIN, connection: thrown },
    { connectionString: urlOf('plain', PLAIN), connection: async () => thrown() },
    {
      host,
      port,
      database,
      user: 'plain',
      connection: () => {
        if (once) return thrown();
        once = true;
        return { password: PLAIN, port: 1 };
      },
    },
  ] satisfies PoolOptions[]) {
    const pool = heard.pool(t, options);
    assert.ok(pool !== undefined);
    await heard.use(pool);
  }
  assertNone(heard.words, [PLAIN]);
});

/** A secret where it does not belong. */
const MISPLACED: Record<string, object> = {
  'a URL as the host': { host: urlOf('plain', PLAIN) },
  'a URL as the host, from connection()': { connection: () => ({ host: urlOf('plain', PLAIN) }) },
  'a URL as the name': { name: urlOf('plain', PLAIN).repeat(9) },
  'a URL as a number': { max: urlOf('plain', PLAIN) },
  'a URL as a time': { acquireTimeoutMs: urlOf('plain', PLAIN) },
  'a URL as a port': { host: '127.0.0.1', port: urlOf('plain', PLAIN) },
  'a password with a slash in a URL': { connectionString: `postgres://plain:123/${PLAIN}@${host}:${port}/d` },
  'a password with a hash in a URL': { connectionString: `postgres://plain:123#${PLAIN}@${host}:${port}/d` },
  'a password with a question mark in a URL': { connectionString: `postgres://plain:123?${PLAIN}@${host}:${port}/d` },
  'a password with a percent sign in a URL': { connectionString: `postgres://plain:%zz${PLAIN}@${host}:${port}/d` },
  "libpq's keywords": { connectionString: `host=127.0.0.1 port=1 user=plain password=${PLAIN}` },
  "libpq's keywords, quoted": { connectionString: `host=127.0.0.1 port=1 password = '${PLAIN}'` },
  'a URL that is none': { connectionString: `postgres://plain:${PLAIN}@host:port/d` },
  'an object as the connection string': { connectionString: { password: PLAIN } },
  'an array as the options of a connection': { connection: () => [urlOf('plain', PLAIN)] },
  'an object as the password': { host: '127.0.0.1', port: 1, password: { value: PLAIN } },
  'a function that gives an object as the password': { host, port, password: () => ({ value: PLAIN }) },
  'a misspelt password': { host: '127.0.0.1', port: 1, pasword: PLAIN, passwd: PLAIN, pwd: PLAIN, PASSWORD: PLAIN },
  'a misspelt connection string': { conectionString: urlOf('plain', PLAIN) },
  'a URL under the name of another pool': { url: urlOf('plain', PLAIN) },
  'a passphrase that is no text': { host, port, user: 'plain', password: PLAIN, ssl: { passphrase: { a: PLAIN } } },
  'a key that is none': {
    host,
    port,
    user: 'plain',
    password: PLAIN,
    ssl: { key: PLAIN, cert: 'none', passphrase: PLAIN },
  },
  'an object as an option': { max: { password: PLAIN } },
  'an array as the options': [urlOf('plain', PLAIN)],
};

for (const [what, given] of Object.entries(MISPLACED)) {
  test(`${what}: what is said of it does not show it`, async (t) => {
    const heard = new Overheard();
    if (Array.isArray(given)) {
      try {
        Reflect.construct(Pool, [given]);
      } catch (error) {
        heard.note(error);
      }
    }
    const pool = Array.isArray(given) ? undefined : heard.pool(t, { ...given });
    if (pool !== undefined) await heard.use(pool);
    assert.ok(heard.words.length > 0);
    assertNone(heard.words, [PLAIN]);
  });
}

test('requests with a secret where it does not belong do not show it', async (t) => {
  const heard = new Overheard();
  const { note } = heard;
  const pool = heard.pool(t, { connectionString: urlOf('plain', PLAIN) });
  assert.ok(pool !== undefined);
  const url = urlOf('plain', PLAIN);
  const ask = async (fn: () => unknown): Promise<void> => {
    try {
      note(await fn());
    } catch (error) {
      note(error);
    }
  };
  await ask(() => Reflect.apply(pool.acquire, pool, [{ acquireTimeoutMs: url }]));
  await ask(() => Reflect.apply(pool.acquire, pool, [{ signal: url }]));
  await ask(() => Reflect.apply(pool.acquire, pool, [url]));
  await ask(() => Reflect.apply(pool.acquire, pool, [{ password: PLAIN, signal: { password: PLAIN } }]));
  await ask(() => Reflect.apply(pool.query, pool, [{ text: 'SELECT 1', signal: url, timeoutMs: url }]));
  await ask(() => Reflect.apply(pool.query, pool, [{ text: 'SELECT 1', timeoutMs: { password: PLAIN } }]));
  await ask(() => Reflect.apply(pool.transaction, pool, [() => 1, { isolation: url }]));
  await ask(() => Reflect.apply(pool.use, pool, [url]));
  await ask(() => Reflect.apply(pool.resize, pool, [{ max: url }]));
  await ask(() => Reflect.apply(pool.close, pool, [{ drainMs: url }]));
  await ask(() => Reflect.apply(pool.observe, pool, [{ [`x${'y'}`]: url }]));
  assert.ok(heard.words.length > 10);
  assertNone(heard.words, [PLAIN]);
});

test('handles for threads, and pools kept for the process, show nothing', async (t) => {
  const heard = new Overheard();
  const { note } = heard;
  const pool = heard.pool(t, { connectionString: urlOf('special', SPECIAL), ssl: false });
  assert.ok(pool !== undefined);
  const handle = pool.share();
  note(handle, structuredClone(handle));
  for (const overrides of [{ max: urlOf('special', SPECIAL) }, { budget: urlOf('special', SPECIAL) }, SPECIAL])
    try {
      Reflect.apply(joinPool, undefined, [handle, overrides]);
    } catch (error) {
      note(error);
    }
  const member = joinPool(handle, { logger: { debug: note, info: note, warn: note, error: note }, log: note });
  t.after(async () => void (await member.close()));
  await member.query('SELECT 1').then(note, note);
  note(member, member.options);
  const key = freshName();
  const make = (password: string) => () => new Pool({ host, port, user: 'special', password, name: key });
  const first = globalPool(key, make(SPECIAL));
  t.after(async () => void (await first.close()));
  const second = globalPool(key, make(`${SPECIAL}-other`));
  t.after(async () => void (await second.close()));
  note(first, second, globalThis, Reflect.get(globalThis, Symbol.for('oxbow.process')));
  try {
    structuredClone(pool);
  } catch (error) {
    note(error);
  }
  assertNone(
    heard.words.filter((word) => word !== globalThis),
    [SPECIAL],
  );
});

test('TLS: neither key nor passphrase are found in what a pool gives out, and both are there for whoever reads them', async (t) => {
  const heard = new Overheard();
  const ssl = { key: `${PLAIN} key`, passphrase: PLAIN, pfx: Buffer.from(PLAIN), rejectUnauthorized: false };
  const pool = heard.pool(t, { host, port, user: 'plain', password: SPECIAL, ssl });
  assert.ok(pool !== undefined);
  await heard.use(pool);
  assertNone(heard.words, [PLAIN, SPECIAL]);
  const read: unknown = Reflect.get(pool.options, 'ssl');
  assert.ok(typeof read === 'object' && read !== null);
  assert.equal(Reflect.get({ ...read }, 'passphrase'), PLAIN);
  assert.equal(Reflect.get(read, 'key'), `${PLAIN} key`);
  assert.equal(pool.options.password, SPECIAL);
});

test('a process with PGPASSWORD and NODE_DEBUG=oxbow writes nothing of it, whether it can connect or not', async () => {
  const door = new URL('../../src/doors/index.js', import.meta.url).href;
  const source = `
    import { Pool } from ${JSON.stringify(door)};
    import { inspect } from 'node:util';
    const show = (value) => console.log(inspect(value, { depth: 9 }), JSON.stringify(value), String(value), value?.stack, value?.cause);
    for (const options of [{}, { port: 1 }, { user: 'nobody' }, { database: 'nowhere' }, { connectionString: process.env.URL, port: 1 }, { host: process.env.URL }]) {
      let pool;
      try { pool = new Pool({ acquireTimeoutMs: 200, max: 1, ...options }); } catch (error) { show(error); continue; }
      show(pool); show(pool.options);
      await pool.query('SELECT 1').then(show, show);
      await pool.use(async (lease) => { show(lease); await lease.query('BEGIN'); }).catch(show);
      await pool.query({ text: 'SELECT pg_sleep(9)', timeoutMs: 10 }).catch(show);
      show(await pool.close());
      await pool.query('SELECT 1').catch(show);
    }
    new Pool({ host: '127.0.0.1', port: 1, acquireTimeoutMs: 50 }).query('SELECT 1');`;
  const env = {
    PATH: process.env.PATH,
    PGPASSWORD: SPECIAL,
    PGUSER: 'special',
    PGHOST: host,
    PGPORT: String(port),
    PGDATABASE: database,
    NODE_DEBUG: 'oxbow',
    URL: urlOf('special', SPECIAL),
  };
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { env });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      out += String(chunk);
    });
  await new Promise((resolve) => child.on('close', resolve));
  assert.match(out, /OXBOW \d+: pool-1: opened/);
  assert.match(out, /ECONNREFUSED/);
  assert.equal(findSecret(out, [SPECIAL]), undefined, out);
});
