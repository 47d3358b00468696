// Asynchronous context, both ways (DESIGN B17): whatever answers a borrower runs in the borrower's own AsyncLocalStorage context, in every form of
// asking and for whatever end; and what is the pool's (hooks, sockets, timers, events) sees no request's store, or that of the request it is about.

import assert from 'node:assert/strict';
import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Pool, PoolOptions } from '../../src/doors/index.ts';
import { eventually, killBackend, pidOf, rejection, runProgram, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test, { url: false, auth: 'scram', password: 'context' });
const admin = await withClient(test, server.config);
const store = new AsyncLocalStorage<string>();

/** Notes in whose context it is called. */
type Note = () => void;
/** One way to ask; `note` is called wherever something of the asker's runs. */
type Form = (pool: Pool, note: Note) => Promise<unknown>;

/** One request: in whose context each callback and continuation of it ran. */
function request(who: string, work: (note: Note) => Promise<unknown>): Promise<(string | undefined)[]> {
  return store.run(who, async () => {
    const seen: (string | undefined)[] = [];
    const note: Note = () => void seen.push(store.getStore());
    await work(note).catch(note);
    note();
    return seen;
  });
}

const REQUESTS = ['a', 'b', 'c'];

/** Several requests at the same time; each must have found itself, and more often than by its last continuation alone. */
async function interleaved(form: (note: Note, who: string) => Promise<unknown>): Promise<void> {
  const seen = await Promise.all(REQUESTS.map((who) => request(who, (note) => form(note, who))));
  seen.forEach((found, n) => {
    assert.ok(found.length > 1, 'nothing was noted');
    assert.deepEqual(new Set(found), new Set([REQUESTS[n]]));
  });
}

/** By callback; what is noted in it counts. */
function calledBack(note: Note, ask: (done: (error: Error | undefined | null) => void) => unknown): Promise<void> {
  return new Promise((resolve) => {
    ask(() => {
      note();
      resolve();
    });
  });
}

const FORMS: Record<string, Form> = {
  'connect(cb)': (pool, note) =>
    new Promise<void>((resolve, reject) => {
      pool.connect((error, client, done) => {
        note();
        if (error !== undefined || client === undefined) return reject(error);
        client.query('SELECT 1').then(
          () => {
            note();
            done();
            resolve();
          },
          (failed: Error) => reject(failed),
        );
      });
    }),
  'connect()': async (pool, note) => {
    const client = await pool.connect();
    note();
    await client.query('SELECT 1');
    note();
    client.release();
  },
  'query(text)': (pool, note) => pool.query('SELECT 1').then(note),
  'query(text, values)': (pool, note) => pool.query('SELECT $1::int', [1]).then(note),
  'query(text) that fails': (pool, note) => pool.query('SELECT nonsense').catch(note),
  'query(text, cb)': (pool, note) => calledBack(note, (done) => pool.query('SELECT 1', done)),
  'query(text, values, cb)': (pool, note) => calledBack(note, (done) => pool.query('SELECT $1::int', [1], done)),
  'query(text, cb) that fails': (pool, note) => calledBack(note, (done) => pool.query('SELECT nonsense', done)),
  'query({ callback })': (pool, note) =>
    calledBack(note, (callback) => Reflect.apply(pool.query, pool, [{ text: 'SELECT 1', callback }])),
  'query(function, cb), which is none': (pool, note) =>
    calledBack(note, (done) => Reflect.apply(pool.query, pool, [done])),
  'query(submittable)': (pool, note) =>
    calledBack(note, (callback) => {
      // Whatever is submitted has its callback from its owner.
      const query = Reflect.construct(pg.Query, ['SELECT 1', [], callback]) as pg.Query;
      return Reflect.apply(pool.query, pool, [query]);
    }),
  'query({ timeoutMs })': (pool, note) => pool.query({ text: 'SELECT 1', timeoutMs: 5_000 }).then(note),
  'query({ timeoutMs }) that is late': (pool, note) =>
    pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 60 }).catch(note),
  'query({ signal })': (pool, note) =>
    pool.query({ text: 'SELECT 1', signal: new AbortController().signal }).then(note),
  'query({ signal }) that is aborted': (pool, note) =>
    pool.query({ text: 'SELECT pg_sleep(60)', signal: AbortSignal.timeout(60) }).catch(note),
  'two statements at once': (pool, note) => pool.query('SELECT 1; SELECT 2').then(note),
  'acquire()': async (pool, note) => {
    const lease = await pool.acquire();
    note();
    await lease.query('SELECT $1::int', [1]);
    note();
    lease.release();
    await lease.query('SELECT 1').catch(note);
  },
  'lease.query(cb)': async (pool, note) => {
    const lease = await pool.acquire();
    await calledBack(note, (done) => lease.query('SELECT 1', done));
    await calledBack(note, (done) => lease.query('SELECT $1::int', [1], done));
    await calledBack(note, (done) => lease.query('SELECT nonsense', done));
    lease.release();
    await calledBack(note, (done) => lease.query('SELECT 1', done));
  },
  'lease.query({ signal }) that is aborted': async (pool, note) => {
    await using lease = await pool.acquire();
    const abort = new AbortController();
    const asked = lease.query({ text: 'SELECT pg_sleep(60)', signal: abort.signal }).catch(note);
    store.exit(() => setTimeout(() => abort.abort(), 30));
    await asked;
    await lease.query('SELECT 1').then(note);
  },
  'use()': (pool, note) =>
    pool.use(async (lease) => {
      note();
      await lease.query('SELECT 1');
      note();
    }),
  'use() with a signal': (pool, note) =>
    pool.use(
      async (lease) => {
        note();
        await lease.query('SELECT 1');
        note();
      },
      { signal: new AbortController().signal },
    ),
  'transaction(), tx.query and nested ones': (pool, note) =>
    pool.transaction(async (tx) => {
      note();
      await tx.query('SELECT $1::int', [1]);
      note();
      await calledBack(note, (done) => tx.query('SELECT 1', done));
      await tx.transaction(async (inner) => {
        note();
        await inner.query('SELECT 1');
        note();
      });
      await tx
        .transaction(async (inner) => {
          await inner.query('SELECT nonsense').catch(note);
          note();
          throw new Error('undo');
        })
        .catch(note);
      note();
    }),
  'transaction() that is tried again': (pool, note) => {
    let tries = 0;
    return pool.transaction(
      (tx) => {
        note();
        tries += 1;
        if (tries === 1) return tx.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
        return tx.query('SELECT 1');
      },
      { retries: 1 },
    );
  },
};

for (const speaker of ['auto', 'pg'] as const) {
  for (const max of [1, 3]) {
    for (const [name, form] of Object.entries(FORMS)) {
      test(`${name}, three requests at once over ${max}, speaker ${speaker}: each in its own context`, async (t) => {
        const pool = withPool(t, { ...server.config, max, speaker });
        // First of all where the connection is made for it, then where it is there.
        await interleaved((note) => form(pool, note));
        await interleaved((note) => form(pool, note));
      });
    }
  }
}

test('a waiter that is served by the release of another request goes on in its own context, the other one too', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const held = await store.run('holder', () => pool.acquire());
  const waiting = interleaved(async (note) => {
    const lease = await pool.acquire();
    note();
    lease.release();
    note();
  });
  store.run('holder', () => {
    held.release();
    assert.equal(store.getStore(), 'holder');
  });
  await waiting;
});

test('a waiter that is turned away hears it in its own context: late, aborted, closed, paused, callback or promise', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await store.run('holder', () => pool.acquire());
  await interleaved((note) => pool.acquire({ acquireTimeoutMs: 20 }).catch(note));
  await interleaved((note) => pool.query({ text: 'SELECT 1', timeoutMs: 20 }).catch(note));
  for (const how of ['acquire', 'use', 'query'] as const) {
    const abort = new AbortController();
    const { signal } = abort;
    const waiting = interleaved((note) => {
      if (how === 'acquire') return pool.acquire({ signal }).catch(note);
      if (how === 'use') return pool.use(() => 1, { signal }).catch(note);
      return pool.query({ text: 'SELECT 1', signal }).catch(note);
    });
    store.run('another', () => abort.abort());
    await waiting;
  }
  const paused = interleaved((note) => pool.acquire().catch(note));
  void store.run('another', () => pool.pause({ borrowers: 'reject' }));
  await paused;
  pool.resume();
  const closed = interleaved(async (note) => {
    await Promise.all([
      pool.acquire().catch(note),
      pool.query('SELECT 1').catch(note),
      calledBack(note, (done) => pool.query('SELECT 1', done)),
      calledBack(note, (done) => pool.connect((error) => done(error))),
    ]);
  });
  void store.run('another', () => pool.close({ drainMs: 0, cancelMs: 0 }));
  await closed;
});

test('a connect that fails is told each in its own context', async (t) => {
  const pool = withPool(t, { ...server.config, password: 'wrong', max: 1 });
  await interleaved(async (note) => {
    await Promise.all([
      pool.acquire().catch(note),
      pool.query('SELECT 1').catch(note),
      calledBack(note, (done) => pool.query('SELECT 1', done)),
      calledBack(note, (done) => pool.connect((error) => done(error))),
      pool.open().catch(note),
    ]);
  });
});

test('end(cb), close(), pause() and the like answer whoever asked', async (t) => {
  for (const ask of [
    (pool, note) => calledBack(note, (done) => pool.end(() => done(null))),
    (pool, note) => pool.close().then(note),
    (pool, note) => pool.open().then(note),
    (pool, note) => pool.ready().then(note),
    (pool, note) => pool.check().then(note),
    (pool, note) => pool.trim().then(note),
    (pool, note) => pool.replaceAll().then(note),
  ] satisfies Form[]) {
    const pool = withPool(t, { ...server.config, max: 2 });
    await pool.query('SELECT 1');
    await interleaved((note) => ask(pool, note));
  }
});

test('whoever listens to lease.signal is called in the context of the lease, whoever or whatever ended it', async (t) => {
  const pool = withPool(t, { ...server.config, max: 3 });
  await interleaved(async (note) => {
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    const ended = new Promise<void>((resolve) => {
      lease.signal.addEventListener('abort', () => {
        note();
        resolve();
      });
    });
    await store.exit(() => killBackend(admin, pid));
    await ended;
    lease.release();
  });
  const abort = new AbortController();
  const revoked = interleaved((note) =>
    pool.use(
      async ({ signal }) => {
        await new Promise<void>((resolve) => {
          signal.onabort = () => {
            note();
            resolve();
          };
        });
      },
      { signal: abort.signal },
    ),
  );
  await eventually('all have one', () => pool.snapshot().lent === 3);
  store.run('another', () => abort.abort());
  await revoked;
  const cut = interleaved(async (note) => {
    const lease = await pool.acquire();
    await new Promise<void>((resolve) => {
      lease.signal.addEventListener('abort', () => {
        note();
        resolve();
      });
    });
  });
  await eventually('all have one', () => pool.snapshot().lent === 3);
  void store.run('another', () => pool.close({ drainMs: 0, cancelMs: 0 }));
  await cut;
});

// What is pg's own: a callback of the raw client, and its notices, run where the bytes are read. With pg.Pool that is the context of the request
// which happened to open the connection, for as long as it lives; with ours it is nobody's.

interface Raw {
  connect(): Promise<pg.PoolClient>;
}

async function rawContexts(pool: Raw): Promise<(string | undefined)[]> {
  const opener = await store.run('opener', () => pool.connect());
  opener.release();
  return store.run('asker', async () => {
    const client = await pool.connect();
    const seen: (string | undefined)[] = [];
    const note = (): void => void seen.push(store.getStore());
    client.once('notice', note);
    await new Promise((resolve) => {
      client.query("DO $$ BEGIN RAISE NOTICE 'heard'; END $$", (error) => {
        note();
        resolve(error);
      });
    });
    await client.query('SELECT 1').then(note);
    client.release();
    return seen;
  });
}

for (const speaker of ['auto', 'pg'] as const) {
  test(`callbacks and notices of a raw client, speaker ${speaker}: of no request, where pg's pool has that which opened the connection`, async (t) => {
    const theirs = new pg.Pool({ ...server.config, max: 1 });
    t.after(() => theirs.end());
    assert.deepEqual(await rawContexts(theirs), ['opener', 'opener', 'asker']);
    assert.deepEqual(await rawContexts(withPool(t, { ...server.config, max: 1, speaker })), [
      undefined,
      undefined,
      'asker',
    ]);
  });
}

// And the other way round.

/** What of the pool's ran, and in whose context. */
class Heard {
  readonly seen = new Map<string, (string | undefined)[]>();

  note = (what: string): void => {
    const found = this.seen.get(what) ?? [];
    this.seen.set(what, found);
    found.push(store.getStore());
  };

  /** Each was called, and never in a request's context. */
  nobodys(...names: string[]): void {
    for (const name of names) {
      const found = this.seen.get(name);
      assert.ok(found !== undefined, `${name} was never called: ${[...this.seen.keys()].join()}`);
      assert.deepEqual(new Set(found), new Set([undefined]), name);
    }
  }
}

test('hooks run in no request’s context, whichever request they were needed for', async (t) => {
  const heard = new Heard();
  const { note } = heard;
  const options: PoolOptions = {
    ...server.config,
    max: 2,
    connection: async () => {
      note('connection');
      await sleep(1);
      note('connection');
      return {};
    },
    password: async () => {
      note('password');
      return 'context';
    },
    stream: () => {
      note('stream');
      return new Socket();
    },
    configure: async (client) => {
      note('configure');
      await client.query('SELECT 1');
      note('configure');
    },
    verify: (_client, done) => {
      note('verify');
      done();
    },
    check: async (client) => {
      note('check');
      await client.query('SELECT 1');
      note('check');
    },
    reset: async (client) => {
      note('reset');
      await client.query('SELECT 1');
      note('reset');
    },
  };
  const pool = withPool(t, options);
  const ask = (who: string): Promise<unknown> =>
    store.run(who, async () => {
      await pool.query('SELECT 1');
      await pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 40 }).catch(() => {});
      await pool.query({ text: 'SELECT pg_sleep(60)', signal: AbortSignal.timeout(40) }).catch(() => {});
      await pool.use((lease) => lease.query('BEGIN'));
      const lease = await pool.acquire();
      void lease.query('SELECT pg_sleep(60)').catch(() => {});
      lease.release();
      await pool.acquire({ acquireTimeoutMs: 1 }).then(
        (late) => late.release(),
        () => {},
      );
    });
  await Promise.all(REQUESTS.map(ask));
  await store.run('another', () => pool.check());
  await store.run('another', () => pool.replaceAll());
  await ask('again');
  heard.nobodys('connection', 'password', 'stream', 'configure', 'verify', 'check', 'reset');
});

test('a reset that makes everything anew configures in no request’s context', async (t) => {
  for (const reset of ['discard', 'tracked'] as const) {
    const heard = new Heard();
    const pool = withPool(t, { ...server.config, max: 1, reset, configure: () => heard.note('configure') });
    await store.run('a', () => pool.use((lease) => lease.query("SET work_mem = '8MB'")));
    await pool.query('SELECT 1');
    assert.ok((heard.seen.get('configure')?.length ?? 0) > 1);
    heard.nobodys('configure');
  }
});

test('onReconnectFailed runs in no request’s context', async (t) => {
  const heard = new Heard();
  const pool = withPool(t, {
    ...server.config,
    host: '127.0.0.1',
    port: 1,
    reconnectTimeoutMs: 1,
    onReconnectFailed: () => heard.note('onReconnectFailed'),
  });
  await store.run('a', () => pool.query({ text: 'SELECT 1', timeoutMs: 600 }).catch(() => {}));
  heard.nobodys('onReconnectFailed');
});

test('events about connections are told in no request’s context; those about a lend in that of its borrower, or in none', async (t) => {
  const heard = new Heard();
  const { note } = heard;
  const pool = withPool(t, { ...server.config, max: 1, maxUses: 7 });
  /** Of each lease: whose it is, and in whose context it was told of. */
  const owners = new Map<number, string | undefined>();
  const foreign: string[] = [];
  const mine = (what: string, owner: string | undefined): void => {
    const now = store.getStore();
    if (now !== undefined && now !== owner) foreign.push(`${what} of ${owner} in ${now}`);
  };
  pool.observe({
    phase: () => note('phase'),
    opening: () => note('opening'),
    opened: () => note('opened'),
    openFailed: () => note('openFailed'),
    retired: () => note('retired'),
    lost: () => note('lost'),
    closed: () => note('closed'),
    refused: () => note('refused'),
    waiting: ({ label }) => mine('waiting', label),
    lent: ({ lease, label }) => {
      owners.set(lease, label);
      mine('lent', label);
    },
    returned: ({ lease }) => mine('returned', owners.get(lease)),
  });
  for (const name of ['connect', 'remove', 'error']) pool.on(name as 'connect', () => note(name));
  let lent: string | undefined;
  pool.observe({
    lent: ({ label }) => {
      lent = label;
    },
  });
  pool.on('acquire', () => mine('acquire', lent));
  pool.on('release', () => mine('release', lent));
  const ask = (who: string): Promise<unknown> =>
    store.run(who, async () => {
      for (let n = 0; n < 4; n += 1) {
        const lease = await pool.acquire({ label: who });
        await lease.query(n % 2 === 0 ? 'SELECT 1' : 'BEGIN');
        lease.release();
      }
      const raw = await pool.acquire({ label: who });
      raw.release(who === 'c');
    });
  await Promise.all(REQUESTS.map(ask));
  // A waiter that leaves because of somebody else.
  const held = await store.run('a', () => pool.acquire({ label: 'a' }));
  const abort = new AbortController();
  const waiting = store.run('b', () => rejection(pool.acquire({ label: 'b', signal: abort.signal }), Error));
  store.run('c', () => abort.abort(new Error('no more')));
  await waiting;
  await rejection(
    store.run('b', () => pool.acquire({ label: 'b', acquireTimeoutMs: 10 })),
    Error,
  );
  const pid = await pidOf(held);
  held.release();
  await killBackend(admin, pid);
  await eventually('its end was seen', () => heard.seen.has('error'));
  const last = await store.run('a', () => pool.acquire({ label: 'a' }));
  const turned = store.run('b', () => rejection(pool.acquire({ label: 'b' }), Error));
  const closed = store.run('c', () => pool.close({ drainMs: 500 }));
  await turned;
  store.run('a', () => last.release());
  await closed;
  assert.deepEqual(foreign, []);
  heard.nobodys('opening', 'opened', 'retired', 'lost', 'closed', 'refused', 'connect', 'remove', 'error', 'phase');
});

test('a failed connect is told in no request’s context', async (t) => {
  const heard = new Heard();
  const pool = withPool(t, { ...server.config, password: 'wrong', max: 1 });
  pool.observe({ openFailed: () => heard.note('openFailed'), refused: () => heard.note('refused') });
  await Promise.all(REQUESTS.map((who) => store.run(who, () => rejection(pool.query('SELECT 1'), Error))));
  heard.nobodys('openFailed', 'refused');
});

/** Resources that live on; those of a single write or read are gone at once. */
const LASTING = new Set(['TCPWRAP', 'TCPSERVERWRAP', 'TLSWRAP', 'PIPEWRAP', 'Timeout', 'Immediate']);

test('no socket and no timer of a pool is made in a request’s context', async (t) => {
  const made: string[] = [];
  const all = new Set<string>();
  const hook = createHook({
    init(_id, type) {
      if (!LASTING.has(type)) return;
      all.add(type);
      const whose = store.getStore();
      if (whose !== undefined) made.push(`${type} in ${whose}: ${String(new Error('made').stack)}`);
    },
  });
  hook.enable();
  t.after(() => hook.disable());
  const pool = withPool(t, { ...server.config, max: 2, queryTimeoutMs: 5_000, min: 1, idlePingMs: 20 });
  const ask = (who: string): Promise<unknown> =>
    store.run(who, async () => {
      await pool.query('SELECT 1');
      await pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 30 }).catch(() => {});
      const lease = await pool.acquire();
      void lease.query('SELECT pg_sleep(60)').catch(() => {});
      lease.release();
      const abort = new AbortController();
      const used = pool.use(({ client }) => client.query('SELECT pg_sleep(60)'), { signal: abort.signal });
      store.exit(() => setTimeout(() => abort.abort(), 20));
      await used.catch(() => {});
      await pool.transaction((tx) => tx.query('SELECT 1'));
    });
  await Promise.all(REQUESTS.map(ask));
  await store.run('another', () => pool.close());
  assert.deepEqual(made, []);
  assert.ok(all.has('TCPWRAP') && all.has('Timeout'));
});

// Nothing of a request stays behind in a pool: in a process of its own, where garbage can be collected at will.

const COLLECT = `
  import { AsyncLocalStorage } from 'node:async_hooks';
  import { setTimeout as sleep } from 'node:timers/promises';
  import v8 from 'node:v8';
  import vm from 'node:vm';
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc');
  const store = new AsyncLocalStorage();
  const refs = [];
  function request(work) {
    const big = { bytes: Buffer.alloc(200_000) };
    refs.push(new WeakRef(big));
    return store.run(big, work);
  }
  async function kept() {
    let alive = refs.length;
    for (let n = 0; n < 50 && alive > 0; n += 1) {
      await sleep(10);
      gc();
      alive = refs.filter((ref) => ref.deref() !== undefined).length;
    }
    return alive;
  }`;

test('no store of a request outlives it in a pool: connections opened inside, borrowed in every way, failed and cut', async () => {
  const program = `${COLLECT}
    const hooks = { configure: (client) => client.query('SELECT 1'), check: (client) => client.query('SELECT 1'), reset: (client) => client.query('SELECT 1') };
    const pools = [
      new Pool({ ...config, max: 4, maxUses: 5 }),
      new Pool({ ...config, max: 4, speaker: 'pg', min: 2, queryTimeoutMs: 5_000 }),
      new Pool({ ...config, max: 2, ...hooks }),
      new Pool({ ...config, max: 2, reset: 'tracked' }),
    ];
    const work = [
      (pool) => pool.query('SELECT 1'),
      (pool) => pool.query('SELECT $1::int', [1]),
      (pool) => pool.query('SELECT nonsense'),
      (pool) => new Promise((resolve) => pool.query('SELECT 1', resolve)),
      (pool) => new Promise((resolve) => pool.connect((error, client, done) => { done(error); resolve(); })),
      async (pool) => { const client = await pool.connect(); await client.query('SELECT 1'); client.release(); },
      (pool) => pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 20 }),
      (pool) => pool.query({ text: 'SELECT pg_sleep(60)', signal: AbortSignal.timeout(20) }),
      (pool) => pool.use((lease) => { lease.signal.addEventListener('abort', () => {}); return lease.query('SELECT 1'); }),
      (pool) => pool.transaction((tx) => tx.query('SELECT 1')),
      (pool) => pool.transaction((tx) => tx.transaction((inner) => inner.query('SELECT 1'))),
      async (pool) => { const lease = await pool.acquire(); void lease.query('SELECT pg_sleep(60)').catch(() => {}); lease.release(); await lease.whenReturned(); },
      async (pool) => { const lease = await pool.acquire(); await lease.query('BEGIN'); lease.release(); await lease.whenReturned(); },
      async (pool) => { const lease = await pool.acquire(); await lease.query('SELECT 1'); lease.release(true); },
      async (pool) => { const lease = await pool.acquire(); await lease.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(() => {}); lease.release(); },
      (pool) => pool.acquire({ acquireTimeoutMs: 1 }).then((lease) => lease.release()),
      (pool) => pool.check(),
      (pool) => pool.open(),
    ];
    for (let round = 0; round < 2; round += 1)
      await Promise.all(pools.flatMap((pool) => work.map((ask) => request(() => ask(pool).catch(() => {})))));
    await Promise.all(pools.map((pool) => pool.query('SELECT 1')));
    const open = pools.map((pool) => pool.snapshot().size);
    console.log(JSON.stringify({ made: refs.length, kept: await kept(), open }));
    await Promise.all(pools.map((pool) => pool.close()));`;
  const { stdout, stderr } = await runProgram(program, server.config, 60_000);
  const { made, kept, open } = JSON.parse(stdout || '{}') as { made: number; kept: number; open: number[] };
  assert.ok(made > 100, stderr);
  assert.ok(open.every((size) => size > 0));
  assert.equal(kept, 0);
});

test('of a package that is loaded inside a request, as lazy routes are, nothing runs in the context of that request', async () => {
  const door = new URL('../../src/doors/index.js', import.meta.url).href;
  const source = `
    import { AsyncLocalStorage } from 'node:async_hooks';
    const store = new AsyncLocalStorage();
    const contexts = new Set();
    const note = () => { contexts.add(store.getStore() ?? 'none'); };
    await store.run('loading', async () => {
      const { Pool } = await import(${JSON.stringify(door)});
      const config = ${JSON.stringify(server.config)};
      const pool = new Pool({ ...config, max: 1, configure: note, check: note, reset: note });
      pool.observe({ opening: note, opened: note, retired: note, closed: note, refused: note });
      await pool.query('SELECT 1');
      await pool.use(() => pool.acquire({ acquireTimeoutMs: 20 }).catch(() => {}));
      await pool.close();
    });
    console.log(JSON.stringify([...contexts]));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      out += String(chunk);
    });
  await new Promise((resolve) => child.on('close', resolve));
  assert.equal(out, '["none"]\n');
});
