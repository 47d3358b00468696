// Deviations in connecting: what a failed connect is, when the next one is made, and for whom.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import pg from 'pg';
import { ConnectError, OptionError, Pool, PoolTimeoutError } from '../../../src/doors/index.ts';
import oxbowPg from '../../../src/doors/pg.ts';
import { deafServer, eventually, unusedPort } from '../../postgres/harness.ts';
import { admin, type Bench, deviation, failure, quietly, server } from './contestants.ts';
import { timed } from './timed.ts';

deviation('a connect that fails is a ConnectError around the driver’s error, with its code', {
  theirs: async (b) => {
    const error = await failure(b.pool({ database: 'nowhere' }).connect());
    assert.ok(error instanceof pg.DatabaseError);
    assert.equal(error.code, '3D000');
  },
  ours: async (b) => {
    const error = await failure(b.pool({ database: 'nowhere' }).connect());
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, '3D000');
    assert.ok(error.cause instanceof pg.DatabaseError);
    assert.match(error.message, /cannot connect to [\w.:]+\/nowhere/);
  },
});

deviation('a refused connect is tried again until the borrower’s deadline', {
  theirs: async (b) => {
    const error = await failure(b.pool({ port: await unusedPort(), connectionTimeoutMillis: 300 }).connect());
    assert.equal(Reflect.get(error, 'code'), 'ECONNREFUSED');
  },
  ours: async (b) => {
    const error = await failure(b.pool({ port: await unusedPort(), connectionTimeoutMillis: 300 }).connect());
    assert.ok(error instanceof PoolTimeoutError);
    assert.equal(Reflect.get(Object(error.cause), 'code'), 'ECONNREFUSED');
  },
});

/** A server at which `arrive` decides what becomes of a socket. */
async function listening(b: Bench, arrive: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    arrive(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  b.after(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = listener.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { host: '127.0.0.1', port: address.port };
}

/** How many connects are under way at most, when five borrowers come after one has failed. */
async function crowd(b: Bench): Promise<number> {
  let open = 0;
  let most = 0;
  const address = await listening(b, (socket) => {
    open += 1;
    most = Math.max(most, open);
    socket.once('data', () => setTimeout(() => socket.destroy(), 150));
    socket.once('close', () => {
      open -= 1;
    });
  });
  const pool = b.pool({ ...address, connectionTimeoutMillis: 1_000 });
  const first = failure(pool.connect());
  await eventually('the first has failed', () => most === 1 && open === 0);
  if (b.door !== 'oxbow') await first;
  await Promise.all([first, ...Array.from({ length: 5 }, () => failure(pool.connect()))]);
  return most;
}

deviation('while the server refuses, one connect is under way at a time', {
  theirs: async (b) => assert.equal(await crowd(b), 5),
  ours: async (b) => assert.equal(await crowd(b), 1),
});

deviation('a burst of short queries on warm connections makes hardly another one', {
  theirs: async (b) => {
    const pool = b.pool({ max: 15 });
    for (const client of await Promise.all([1, 2, 3, 4, 5].map(() => pool.connect()))) client.release();
    assert.equal(pool.idleCount, 5);
    await Promise.all(Array.from({ length: 50 }, () => pool.query('SELECT pg_sleep(0.002)')));
    assert.equal(pool.totalCount, 15);
  },
  ours: async (b) => {
    const { pool, clock, driver } = timed(b, { min: 5, max: 15 });
    driver.scripted.script = (call) => (call === 'open' ? { afterMs: 150 } : undefined);
    pool.open();
    await clock.advance(1_000);
    assert.equal(pool.idleCount, 5);
    let served = 0;
    for (let n = 0; n < 50; n += 1) {
      pool.query('sleep 2').then(() => {
        served += 1;
      });
    }
    await clock.advance(1_000);
    assert.equal(served, 50);
    assert.ok(driver.scripted.peakSockets < 7, `${driver.scripted.peakSockets} connections`);
  },
});

/** A borrower that has timed out in front of a server which is only slow. */
async function impatient(b: Bench): Promise<pg.Pool> {
  const slow = await listening(b, (socket) => {
    socket.pause();
    const away = connect(Number(server.config.port), server.config.host ?? '127.0.0.1');
    away.on('error', () => {});
    setTimeout(() => socket.pipe(away).pipe(socket), 300);
    socket.on('close', () => away.destroy());
  });
  const pool = b.pool({ ...slow, connectionTimeoutMillis: 100 });
  await failure(pool.connect());
  return pool;
}

deviation('a connect whose borrower timed out arrives all the same and is kept', {
  theirs: async (b) => {
    const pool = await impatient(b);
    await quietly(400);
    assert.equal(pool.totalCount, 0);
  },
  ours: async (b) => {
    const pool = await impatient(b);
    await eventually('it has arrived', () => pool.idleCount === 1);
    (await pool.connect()).release();
  },
});

deviation('a connect that is never answered ends by itself and makes room for the next', {
  theirs: async (b) => {
    const deaf = await deafServer(b);
    const pool = b.pool({ host: deaf.host, port: deaf.port, max: 1 });
    pool.connect().catch(() => {});
    pool.connect().catch(() => {});
    await eventually('it has dialled', () => deaf.accepted === 1);
    await quietly(400);
    assert.deepEqual([deaf.accepted, deaf.open], [1, 1]);
  },
  ours: async (b) => {
    const deaf = await deafServer(b);
    const pool = b.pool({ host: deaf.host, port: deaf.port, max: 1, connectTimeoutMs: 100 });
    pool.connect().catch(() => {});
    pool.connect().catch(() => {});
    await eventually('it has dialled again', () => deaf.accepted >= 2);
    assert.ok(deaf.open <= 1);
  },
});

async function tooLong(b: Bench): Promise<[forReturn: string, forConnect: string]> {
  const deaf = await deafServer(b);
  const full = b.pool({ max: 1, connectionTimeoutMillis: 100 });
  const client = await full.connect();
  const forReturn = await failure(full.connect());
  client.release();
  const silent = b.pool({ host: deaf.host, port: deaf.port, connectionTimeoutMillis: 100 });
  return [forReturn.message, (await failure(silent.connect())).message];
}

const TIMEOUT = 'timeout exceeded when trying to connect';

deviation('too long a wait has one text, whether for a return or for a connect', {
  theirs: async (b) => {
    const [forReturn, forConnect] = await tooLong(b);
    assert.equal(forReturn, TIMEOUT);
    assert.doesNotMatch(forConnect, new RegExp(TIMEOUT));
  },
  ours: async (b) => {
    for (const text of await tooLong(b)) assert.match(text, new RegExp(TIMEOUT));
  },
});

/** What a pool says to a Client that has nothing of pg's. */
function foreign(b: Bench): Promise<Error> {
  class Foreign {
    on(): void {}
    connect(done?: (error: Error) => void): void {
      if (done !== undefined) setImmediate(() => done(new Error('as it said')));
    }
  }
  return failure(b.pool({ Client: Foreign as unknown as typeof pg.Client }).connect());
}

deviation('a Client without pg’s connection is refused by name', {
  theirs: async (b) => assert.equal((await foreign(b)).message, 'as it said'),
  ours: async (b) => {
    const error = await foreign(b);
    assert.ok(error instanceof ConnectError && error.cause instanceof OptionError);
    assert.equal(error.cause.option, 'Client');
  },
});

deviation('there is no native variant', {
  ours: () => assert.equal(oxbowPg.native, null),
});

/** What becomes of a second borrower where the server gives this role one connection and no more. */
async function crowded(b: Bench): Promise<unknown> {
  const role = `narrow_${b.door.replace(/\W/g, '_')}`.toLowerCase();
  await admin.query(`CREATE ROLE ${role} LOGIN CONNECTION LIMIT 1`);
  b.after(() => admin.query(`DROP ROLE ${role}`));
  const pool = b.pool({ user: role, max: 2 });
  const client = await pool.connect();
  const second = pool.connect().then(
    (other) => {
      other.release();
      return 'served';
    },
    (error: unknown) => Reflect.get(Object(error), 'code'),
  );
  await eventually('the server has refused', async () => {
    if (pool instanceof Pool) return pool.stats().connectsFailed > 0;
    return Promise.race([second.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);
  });
  client.release();
  return second;
}

deviation('a server without room fails nobody while the pool has a connection', {
  theirs: async (b) => assert.equal(await crowded(b), '53300'),
  ours: async (b) => assert.equal(await crowded(b), 'served'),
});

/** What the server was asked before the borrower's first statement. */
async function askedFirst(b: Bench): Promise<string[]> {
  const texts: string[] = [];
  class Watched extends pg.Client {
    override query(...args: never[]): never {
      const [asked] = args as unknown[];
      texts.push(typeof asked === 'string' ? asked : String(Reflect.get(Object(asked), 'text')));
      return Reflect.apply(pg.Client.prototype.query, this, args) as never;
    }
  }
  const pool = b.pool({ Client: Watched as typeof pg.Client, max: 2 });
  await Promise.all([pool.query('SELECT 1'), pool.query('SELECT 2 FROM pg_sleep(0.2)')]);
  return texts.filter((text) => !text.startsWith('SELECT 1') && !text.startsWith('SELECT 2'));
}

deviation('the first connection asks whether a pooler stands in between', {
  theirs: async (b) => assert.deepEqual(await askedFirst(b), []),
  ours: async (b) => assert.match((await askedFirst(b)).join(), /^SELECT pg_catalog\.pg_backend_pid\(\)/),
});
