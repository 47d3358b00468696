// Honest borrowers of every kind for half a minute while the collector runs all the time: nothing may be taken from them, and nothing said.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import Cursor from 'pg-cursor';
import { type Lease, Pool } from '../../src/doors/index.ts';
import { collect } from '../kit/gc.ts';
import { reports, withServer } from '../postgres/harness.ts';
import { Chance } from '../soak/chance.ts';

const { test } = nodeTest;
const server = await withServer(nodeTest);

const SECONDS = 30;
const TASKS = 24;
const GC_EVERY_MS = 50;
/** How long the patient ones hold: well beyond the age from which only they keep their lease. */
const LONG_MS = 1_800;

interface Asks {
  query(text: string, values: unknown[]): Promise<pg.QueryResult>;
}

class Honest {
  readonly pool: Pool;
  readonly #chance: Chance;
  readonly #held = new Set<number>();
  readonly done: Record<string, number> = {};
  readonly wrong: string[] = [];

  constructor(pool: Pool, chance: Chance) {
    this.pool = pool;
    this.#chance = chance;
  }

  /** For a moment, or for long. */
  async hold(): Promise<void> {
    await sleep(this.#chance.happens(0.3) ? this.#chance.upTo(LONG_MS) : this.#chance.upTo(40));
  }

  /** Whoever is there must be alone, and be answered what it asked. */
  async alone(who: string, asks: Asks, work: () => Promise<void>): Promise<void> {
    const n = this.#chance.upTo(1_000_000);
    const { rows } = await asks.query('select pg_backend_pid() as pid, $1::int as n', [n]);
    const pid = Number(rows[0]?.pid);
    if (rows[0]?.n !== n) this.wrong.push(`${who}: asked for ${n}, got ${JSON.stringify(rows)}`);
    if (this.#held.has(pid)) this.wrong.push(`${who}: ${pid} is somebody else's`);
    this.#held.add(pid);
    try {
      await work();
      const again = await asks.query('select pg_backend_pid() as pid, $1::int as n', [n + 1]);
      if (again.rows[0]?.pid !== pid || again.rows[0]?.n !== n + 1)
        this.wrong.push(`${who}: ${pid} became ${JSON.stringify(again.rows)}`);
    } finally {
      this.#held.delete(pid);
    }
  }

  readonly kinds: Readonly<Record<string, () => Promise<unknown>>> = {
    'acquire, release': async () => {
      const lease = await this.pool.acquire({ label: 'honest' });
      try {
        await this.alone('acquire', lease, () => this.hold());
      } finally {
        lease.release();
      }
    },
    'acquire, its signal looked at': async () => {
      const lease = await this.pool.acquire();
      const { signal } = lease;
      await this.alone('signal', lease, () => this.hold());
      if (signal.aborted) this.wrong.push(`a signal aborted: ${String(signal.reason)}`);
      lease.release();
    },
    'acquire, only client and release kept': async () => {
      const { client, release } = await this.pool.acquire().then((lease) => ({
        client: lease.client,
        release: () => lease.release(),
      }));
      await this.alone('client', client, () => this.hold());
      release();
    },
    'acquire, kept in a map by somebody else': async () => {
      const map = new Map<string, Lease>();
      const timer = setInterval(() => map.size, 1_000);
      map.set('it', await this.pool.acquire());
      await this.alone('map', map.get('it') as Lease, () => this.hold());
      map.get('it')?.release();
      clearInterval(timer);
    },
    'the end of the scope': async () => {
      await using lease = await this.pool.acquire();
      await this.alone('scope', lease, () => this.hold());
    },
    'a transaction of its own': async () => {
      const lease = await this.pool.acquire();
      await this.hold();
      await lease.transaction((tx) => this.alone('own transaction', tx, () => this.hold()));
      lease.release();
    },
    use: () => this.pool.use((lease) => this.alone('use', lease, () => this.hold())),
    'use under a signal': () =>
      this.pool.use((lease) => this.alone('use, signal', lease, () => this.hold()), {
        signal: new AbortController().signal,
      }),
    'use, only a long statement': () => this.pool.use(({ client }) => client.query('select pg_sleep(1.3)')),
    'use, a long statement of the lease': () => this.pool.use((lease) => lease.query('select pg_sleep(1.3)')),
    'use, idle for long without a statement': () => this.pool.use(() => sleep(LONG_MS)),
    transaction: () => this.pool.transaction((tx) => this.alone('transaction', tx, () => this.hold())),
    'transaction that asks nothing': () => this.pool.transaction(() => this.hold()),
    'transaction in a transaction': () =>
      this.pool.transaction((tx) => tx.transaction((inner) => this.alone('savepoint', inner, () => this.hold()))),
    'a transaction that is undone': async () => {
      const undone = new Error('undone');
      const work = this.pool.transaction(async (tx) => {
        await this.alone('undone', tx, () => this.hold());
        throw undone;
      });
      await work.catch((error: unknown) => {
        if (error !== undone) throw error;
      });
    },
    connect: async () => {
      const client = await this.pool.connect();
      try {
        await this.alone('connect', client, () => this.hold());
      } finally {
        client.release();
      }
    },
    'connect with a callback': () =>
      new Promise<void>((resolve, reject) => {
        this.pool.connect((error, client, release) => {
          if (error !== undefined || client === undefined) {
            reject(error);
            return;
          }
          this.alone('callback', client, () => this.hold()).then(() => {
            release();
            resolve();
          }, reject);
        });
      }),
    'a cursor': async () => {
      const lease = await this.pool.acquire();
      const cursor = lease.query(new Cursor<{ n: number }>('select n from generate_series(1, 6) n'));
      let sum = 0;
      for (let n = 1; n <= 6; n += 1) {
        for (const row of await cursor.read(1)) sum += row.n;
        await sleep(this.#chance.upTo(300));
      }
      if (sum !== 21) this.wrong.push(`cursor: ${sum}`);
      await cursor.close();
      lease.release();
    },
    'a query': async () => {
      const n = this.#chance.upTo(1_000_000);
      const { rows } = await this.pool.query('select $1::int as n', [n]);
      if (rows[0]?.n !== n) this.wrong.push(`query: asked for ${n}, got ${JSON.stringify(rows)}`);
    },
    'a long query': async () => {
      const { rows } = await this.pool.query('select pg_sleep(1.4), 5 as n');
      if (rows[0]?.n !== 5) this.wrong.push(`long query: ${JSON.stringify(rows)}`);
    },
  };

  /** The n-th of them begins with the n-th kind. */
  async live(n: number, until: number): Promise<void> {
    const names = Object.keys(this.kinds);
    let next = names[n];
    while (performance.now() < until) {
      const kind = next ?? this.#chance.pick(names);
      next = undefined;
      await this.kinds[kind]?.();
      this.done[kind] = (this.done[kind] ?? 0) + 1;
      await sleep(this.#chance.upTo(20));
    }
  }
}

test(`${SECONDS} s of honest borrowers of every kind under a collector that never rests: nothing is taken back, nothing is said`, async (t) => {
  const seed = Math.trunc(Math.random() * 0xffff_ffff);
  t.diagnostic(`seed ${seed}`);
  const { logger, said } = reports();
  const pool = new Pool({
    ...server.config,
    name: 'honest',
    logger,
    max: 8,
    callSites: true,
    nestedAcquire: 'detect',
    // Whoever holds for long holds half as long as this, and there is always somebody who starves.
    leakAfterMs: 2 * LONG_MS + 1_000,
    acquireTimeoutMs: 60_000,
  });
  pool.observe({ lent() {}, returned() {}, report() {} });
  const collecting = setInterval(collect, GC_EVERY_MS);
  const honest = new Honest(pool, new Chance(seed, 'honest'));
  const until = performance.now() + SECONDS * 1_000;
  try {
    await Promise.all(Array.from({ length: TASKS }, (_, n) => honest.live(n, until)));
  } finally {
    clearInterval(collecting);
    await pool.close({ drainMs: 2_000 });
  }
  t.diagnostic(JSON.stringify(honest.done));
  assert.deepEqual(honest.wrong, [], `seed ${seed}`);
  assert.deepEqual(said, [], `seed ${seed}`);
  const stats = pool.stats();
  assert.equal(stats.leasesReclaimed, 0);
  assert.equal(stats.leaksReported, 0);
  assert.equal(stats.returnsBad, 0);
  assert.equal(stats.connectionsLost, 0);
  assert.deepEqual(
    Object.keys(honest.kinds).filter((kind) => honest.done[kind] === undefined),
    [],
    'each kind had its turn',
  );
});
