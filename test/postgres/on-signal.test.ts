// `onSignal` in processes of their own, on a real server: the order in which things stop, the end its parent sees, repeats, other
// listeners, failures, and the life of a container's first process.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { Agent, get } from 'node:http';
import test, { type TestContext } from 'node:test';
import { OptionError, onSignal, Pool } from '../../src/doors/index.ts';
import { backends, eventually, freshName, withClient, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Program {
  readonly child: ChildProcess;
  readonly name: string;
  /** What it wrote to stdout so far, in lines; and to stderr. */
  readonly lines: string[];
  readonly errors: () => string;
  /** Resolves with how it ended: a code, or the signal's name. */
  readonly ended: Promise<number | string | null>;
  says(line: string): Promise<string>;
}

/**
 * Starts `body` (a module that has `Pool`, `onSignal`, `createServer`, `pool` and `say`) in a process of its own, and waits until it
 * says 'up'. `listen(handler)` starts a server and says its port first. Killed with the test.
 */
async function start(t: TestContext, body: string, around: readonly string[] = []): Promise<Program> {
  const name = freshName();
  const source = `
    import { createServer } from 'node:http';
    import { writeSync } from 'node:fs';
    import { Pool, onSignal } from ${JSON.stringify(new URL('../../src/doors/index.js', import.meta.url).href)};
    const config = ${JSON.stringify({ ...server.config, name })};
    const say = (line) => writeSync(1, line + '\\n');
    const pool = new Pool(config);
    const listen = (handler) => new Promise((resolve) => {
      const made = createServer(handler).listen(0, '127.0.0.1', () => {
        say('port ' + made.address().port);
        resolve(made);
      });
    });
    ${body}
    say('up');`;
  const [command = process.execPath, ...args] = [...around, process.execPath, '--input-type=module', '--eval', source];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let text = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
    lines.splice(0, lines.length, ...text.split('\n').slice(0, -1));
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? code));
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const says = (line: string): Promise<string> =>
    eventually(`the program says ${line}`, () => {
      const found = lines.find((said) => said.startsWith(line));
      if (found === undefined && child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${errors}`);
      return found;
    });
  await says('up');
  return { child, name, lines, errors: () => errors, ended, says };
}

async function portOf(program: Program): Promise<number> {
  return Number((await program.says('port ')).slice('port '.length));
}

/** A request on a connection that is kept alive, as those of browsers and proxies are. Resolves with its text. */
function ask(t: TestContext, port: number, path: string): Promise<string> {
  const agent = new Agent({ keepAlive: true });
  t.after(async () => agent.destroy());
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += String(chunk);
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

async function sleeping(name: string): Promise<boolean> {
  const text =
    "SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE '%pg_sleep%'";
  return (await admin.query(text, [name])).rowCount === 1;
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`on ${signal} the pool is closed, and the parent sees the process end by ${signal}`, async (t) => {
    const program = await start(
      t,
      `await pool.open();
       pool.observe({ phase: ({ to }) => say(to) });
       onSignal(pool);
       setInterval(() => {}, 1_000);`,
    );
    program.child.kill(signal);
    assert.equal(await program.ended, signal);
    assert.deepEqual(program.lines, ['up', 'closing', 'closed']);
    await eventually('no session is left', async () => (await backends(admin, program.name)) === 0);
  });
}

test('a request under way finishes, may still borrow, and only then the pool closes', async (t) => {
  const program = await start(
    t,
    `const server = await listen(async (request, response) => {
       say('asked');
       await pool.query('SELECT pg_sleep(0.4)');
       const { rows } = await pool.query("SELECT 'whole' AS said");
       response.end(rows[0].said);
     });
     server.keepAliveTimeout = 120_000;
     pool.observe({ phase: ({ to }) => say(to) });
     onSignal(pool, { server });`,
  );
  const answer = ask(t, await portOf(program), '/');
  await program.says('asked');
  program.child.kill('SIGTERM');
  assert.equal(await answer, 'whole');
  const answered = performance.now();
  assert.equal(await program.ended, 'SIGTERM');
  assert.ok(performance.now() - answered < 10_000, 'a connection that is kept alive does not hold up the stop (30 s)');
  assert.deepEqual(program.lines.slice(-3), ['open', 'closing', 'closed']);
});

test('a Fastify app is a server as well: its answers go out, and no connection that is kept alive holds it up', async (t) => {
  const program = await start(
    t,
    `const { default: Fastify } = await import(${JSON.stringify(import.meta.resolve('fastify'))});
     const { oxbowFastify } = await import(${JSON.stringify(new URL('../../src/doors/fastify.js', import.meta.url).href)});
     const app = Fastify();
     app.register(oxbowFastify, config);
     app.get('/', async () => {
       say('asked');
       await app.oxbow.query('SELECT pg_sleep(0.4)');
       return (await app.oxbow.query("SELECT 'whole' AS said")).rows[0].said;
     });
     await app.ready();
     app.oxbow.observe({ phase: ({ to }) => say(to) });
     onSignal(app.oxbow, { server: app });
     say('port ' + new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port);`,
  );
  const answer = ask(t, await portOf(program), '/');
  await program.says('asked');
  program.child.kill('SIGTERM');
  assert.equal(await answer, 'whole');
  const answered = performance.now();
  assert.equal(await program.ended, 'SIGTERM');
  assert.ok(performance.now() - answered < 10_000, 'and not 30 s');
  assert.deepEqual(program.lines.slice(-2), ['closing', 'closed']);
});

test('a request that comes after the signal is refused', async (t) => {
  const program = await start(
    t,
    `const server = await listen(async (request, response) => {
       say('asked');
       await pool.query('SELECT pg_sleep(30)');
       response.end();
     });
     onSignal(pool, { server, close: { drainMs: 1_000, cancelMs: 100 } });`,
  );
  const port = await portOf(program);
  const answer = ask(t, port, '/');
  answer.catch(() => {});
  await program.says('asked');
  program.child.kill('SIGTERM');
  await eventually('the port is closed', () =>
    ask(t, port, '/').then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
    ),
  );
  await program.ended;
});

test('server and pool have one time together; then what runs is cancelled, and the warning says who held a connection', async (t) => {
  const program = await start(
    t,
    `const server = await listen(async (request, response) => {
       const lease = await pool.acquire({ label: 'the report' });
       lease.query('SELECT pg_sleep(60)').catch(() => {});
     });
     let began;
     pool.observe({ phase: ({ to }) => {
       if (to === 'closing') began = performance.now();
       if (to === 'closed') say('took ' + Math.round(performance.now() - began));
     } });
     onSignal(pool, { server, close: { drainMs: 2_500, cancelMs: 100 } });`,
  );
  ask(t, await portOf(program), '/').catch(() => {});
  await eventually('the query runs', () => sleeping(program.name));
  program.child.kill('SIGTERM');
  assert.equal(await program.ended, 'SIGTERM');
  const took = Number((await program.says('took ')).slice('took '.length));
  assert.ok(took < 2_000, `the server had used the time up, and the pool drained for ${took} ms more`);
  assert.match(program.errors(), /OxbowWarning: onSignal: 1 still lent when the pool had to close/);
  await eventually('the query is off the server', async () => !(await sleeping(program.name)));
});

test('a second signal at once, as npm sends it, changes nothing', async (t) => {
  const program = await start(
    t,
    `pool.observe({ phase: ({ to }) => to === 'closing' && process.kill(process.pid, 'SIGINT') });
     onSignal(pool);
     pool.query("SELECT pg_sleep(0.8), 'whole' AS said").then(({ rows }) => say(rows[0].said), (error) => say(error.message));`,
  );
  await eventually('the query runs', () => sleeping(program.name));
  program.child.kill('SIGINT');
  assert.equal(await program.ended, 'SIGINT');
  assert.deepEqual(program.lines, ['up', 'whole']);
});

test('a second signal half a second later cancels what runs, and a third one kills', async (t) => {
  const body = `
    process.on('SIGUSR2', () => say('alive'));
    onSignal(pool);
    const lease = await pool.acquire();
    lease.query('SELECT pg_sleep(60)').catch((error) => { say('failed ' + error.code); if (GIVES_BACK) lease.release(); });`;
  const polite = await start(t, body.replace('GIVES_BACK', 'true'));
  await eventually('the query runs', () => sleeping(polite.name));
  await again(polite, 'SIGINT', 'failed');
  assert.equal(await polite.ended, 'SIGINT');
  assert.ok(polite.lines.includes('failed 57014'), polite.lines.join());

  const third = await start(
    t,
    body.replace('GIVES_BACK', 'false').replace('onSignal(pool)', 'onSignal(pool, { close: { cancelMs: 60_000 } })'),
  );
  await eventually('the query runs', () => sleeping(third.name));
  await again(third, 'SIGTERM', 'failed');
  third.child.kill('SIGTERM');
  await eventually('it is killed', () => third.child.signalCode !== null);
  assert.equal(await third.ended, 'SIGTERM');
});

/** Sends the signal once, and again until the program says `line`: half a second has passed for it by then, however slow it is. */
async function again(program: Program, signal: NodeJS.Signals, line: string): Promise<void> {
  const began = performance.now();
  program.child.kill(signal);
  await eventually('600 ms have passed', () => performance.now() - began > 600);
  program.child.kill(signal);
  await program.says(line);
}

test('signals can be chosen; the others keep their default action', async (t) => {
  const body = `pool.observe({ phase: ({ to }) => say(to) });
    onSignal(pool, { signals: ['SIGHUP', 'SIGUSR2', 'SIGHUP'] });
    await pool.open();
    setInterval(() => {}, 1_000);`;
  const chosen = await start(t, body);
  chosen.child.kill('SIGUSR2');
  assert.equal(await chosen.ended, 'SIGUSR2');
  assert.equal(chosen.lines.at(-1), 'closed');
  const other = await start(t, body);
  other.child.kill('SIGTERM');
  assert.equal(await other.ended, 'SIGTERM');
  assert.notEqual(other.lines.at(-1), 'closed');
});

test('the undo takes every listener away, and what was installed does not keep a process alive', async (t) => {
  const undone = await start(
    t,
    `const undo = onSignal(pool);
     await pool.open();
     undo();
     say(String(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')));
     pool.observe({ phase: ({ to }) => say(to) });
     setInterval(() => {}, 1_000);`,
  );
  undone.child.kill('SIGTERM');
  assert.equal(await undone.ended, 'SIGTERM');
  assert.deepEqual(undone.lines, ['0', 'up']);
  const done = await start(t, `onSignal(pool); await pool.query('SELECT 1');`);
  assert.equal(await done.ended, 0);
});

test('another listener hears the signal again once the pool is closed, and the process is left to it', async (t) => {
  const program = await start(
    t,
    `await pool.open();
     process.on('SIGTERM', () => say('heard while ' + pool.phase));
     onSignal(pool);
     setInterval(() => {}, 1_000);`,
  );
  program.child.kill('SIGTERM');
  await program.says('heard while closed');
  assert.ok(program.lines.includes('heard while open') || program.lines.includes('heard while closing'));
  await assert.rejects(
    eventually('it ends', () => program.child.exitCode !== null || program.child.signalCode !== null, {
      withinMs: 600,
    }),
    /not within 600 ms/,
  );
});

test('of two pools the one that is done sooner does not end the process of the other', async (t) => {
  const program = await start(
    t,
    `const second = new Pool({ ...config, name: config.name + '-b' });
     for (const [held, ms] of [[second, 700], [pool, 1_400]]) {
       const lease = await held.acquire();
       const done = () => lease.query("SELECT 'whole' AS said").then(({ rows }) => say(rows[0].said), (error) => say(error.message))
         .finally(() => lease.release());
       held.observe({ phase: ({ to }) => to === 'closing' && setTimeout(done, ms) });
       onSignal(held, { close: { cancelMs: 0 } });
     }`,
  );
  program.child.kill('SIGTERM');
  assert.equal(await program.ended, 'SIGTERM');
  assert.deepEqual(program.lines, ['up', 'whole', 'whole']);
});

test('with idle connections alone, which hold no process, the end is still the signal and not a code of 0', async (t) => {
  const program = await start(
    t,
    `const stop = { close: () => new Promise((resolve) => { setTimeout(resolve, 400).unref(); }) };
     await pool.open();
     onSignal(pool, { server: stop });
     setTimeout(() => process.kill(process.pid, 'SIGTERM'), 0);
     setTimeout(() => {}, 100);`,
  );
  assert.equal(await program.ended, 'SIGTERM');
});

for (const [how, stop] of [
  ['throws', "{ close() { throw new Error('no such server'); } }"],
  ['rejects', "{ close: async () => { throw new Error('no such server'); } }"],
  ['calls back with an error', "{ close(done) { done(new Error('no such server')); } }"],
]) {
  test(`a server whose close ${how} is warned of, and the pool is closed all the same`, async (t) => {
    const program = await start(
      t,
      `await pool.open();
       pool.observe({ phase: ({ to }) => say(to) });
       onSignal(pool, { server: ${stop} });
       setInterval(() => {}, 1_000);`,
    );
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 'SIGTERM');
    assert.deepEqual(program.lines, ['up', 'closing', 'closed']);
    assert.match(program.errors(), /onSignal: the server did not stop: Error: no such server/);
  });
}

test('a server that was stopped already is no failure', async (t) => {
  const program = await start(
    t,
    `const server = await listen(() => {});
     await new Promise((resolve) => server.close(resolve));
     onSignal(pool, { server });
     setInterval(() => {}, 1_000);`,
  );
  program.child.kill('SIGTERM');
  assert.equal(await program.ended, 'SIGTERM');
  assert.equal(program.errors(), '');
});

test('a pool whose close rejects is warned of, and the signal still ends the process', async (t) => {
  const program = await start(
    t,
    `onSignal({ close: async () => { throw new Error('stuck'); } });
     setInterval(() => {}, 1_000);`,
  );
  program.child.kill('SIGTERM');
  assert.equal(await program.ended, 'SIGTERM');
  assert.match(program.errors(), /onSignal: the pool did not close: Error: stuck/);
});

test('a signal that cannot be caught, or a time that is none, is refused at once, and nothing is installed', () => {
  const pool = new Pool(server.config);
  const before = process.listenerCount('SIGTERM');
  assert.throws(() => onSignal(pool, { signals: ['SIGTERM', 'SIGKILL'] }), { code: 'EINVAL' });
  assert.throws(() => onSignal(pool, { close: { drainMs: -1 } }), { code: 'INVALID_OPTION' });
  assert.throws(() => onSignal(pool, { close: { cancelMs: Number.NaN } }), { code: 'INVALID_OPTION' });
  assert.throws(() => onSignal(pool, { signals: [] }), { code: 'INVALID_OPTION' });
  assert.equal(process.listenerCount('SIGTERM'), before);
});

/** The key that the error names, what it says it expected, and what was passed. */
const NONSENSE: readonly (readonly [string, RegExp, ...unknown[]])[] = [
  ['pool', /a pool/],
  ['pool', /a pool/, {}],
  ['pool', /a pool/, 'pool'],
  ['options', /an object/, new Pool(), 5],
  ['options', /an object/, new Pool(), null],
  ['signal', /one of signals, server, close/, new Pool(), { signal: ['SIGTERM'] }],
  ['signals', /names of signals/, new Pool(), { signals: ['SIGFOO'] }],
  ['signals', /names of signals/, new Pool(), { signals: ['SIGTERM', 'toString'] }],
  ['signals', /names of signals/, new Pool(), { signals: 'SIGTERM' }],
  ['signals', /names of signals/, new Pool(), { signals: [15] }],
  ['server', /close\(\)/, new Pool(), { server: 5 }],
  ['server', /close\(\)/, new Pool(), { server: { stop() {} } }],
  ['server', /close\(\)/, new Pool(), { server: null }],
  ['close', /an object/, new Pool(), { close: 5 }],
  ['close', /an object/, new Pool(), { close: null }],
  ['drain', /one of drainMs, cancelMs, waiting/, new Pool(), { close: { drain: 1 } }],
  ['drainMs', /milliseconds/, new Pool(), { close: { drainMs: '5' } }],
  ['waiting', /'reject' or 'serve'/, new Pool(), { close: { waiting: 'later' } }],
];

for (const [option, expected, ...args] of NONSENSE) {
  const [, options = 'no pool'] = args;
  test(`onSignal refuses ${JSON.stringify(options)} at once (${option}), and listens to nothing`, () => {
    const count = (): number => process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
    const before = count();
    assert.throws(
      () => Reflect.apply(onSignal, undefined, args),
      (error: unknown) => {
        assert.ok(error instanceof OptionError, String(error));
        assert.equal(error.option, option);
        assert.match(error.expected, expected);
        return true;
      },
    );
    assert.equal(count(), before);
  });
}

test('what was left out may be written as undefined', () => {
  const undo = onSignal(new Pool(), { signals: undefined, server: undefined, close: { drainMs: undefined } });
  undo();
});

const unshare = ['unshare', '--pid', '--fork', '--kill-child'];
const canBeFirst = spawnSync('unshare', [...unshare.slice(1), 'true']).status === 0;
const skip = canBeFirst ? false : 'needs `unshare --pid`: Linux, and the right to make a PID namespace';

test('as the first process of a container, which no default action ends, it exits with 128 + n', {
  skip,
}, async (t) => {
  const program = await start(
    t,
    `say('pid ' + process.pid);
     await pool.open();
     pool.observe({ phase: ({ to }) => say(to) });
     onSignal(pool);
     setTimeout(() => process.kill(process.pid, 'SIGTERM'), 50);
     setInterval(() => {}, 1_000);`,
    unshare,
  );
  assert.equal(await program.ended, 143);
  assert.deepEqual(program.lines, ['pid 1', 'up', 'closing', 'closed']);
});
