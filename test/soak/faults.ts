// What is done to a pool while it is used, and when: faults of the network, of the server, of the process itself, and every verb of
// the operator. Owns the sequence, which the seed alone decides, and that each of them ends.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Pool } from '../../src/doors/index.ts';
import type { PostgresServer } from '../../src/doors/testing.ts';
import { withClient } from '../../src/testing/embedded-client.ts';
import { Chance } from './chance.ts';
import { described, type Judge } from './judge.ts';
import type { Weather } from './weather.ts';
import type { Wire } from './wire.ts';
import { type Draw, NETWORK_FAULTS, type NetworkFaultName } from './wire-faults.ts';

/** Longer than every bound of the pool taken together. */
const ENDS_WITHIN_MS = 20_000;

export interface Scene {
  readonly wire: Wire;
  readonly server: PostgresServer;
  readonly judge: Judge;
  readonly weather: Weather;
  readonly applicationName: string;
  readonly max: number;
  /** Only ours knows an operator's verbs. */
  readonly pool: Pool | undefined;
}

type Fault = (scene: Scene, chance: Chance) => Promise<void>;
type Verb = (pool: Pool, chance: Chance, max: number) => Promise<unknown>;

async function asAdmin(scene: Scene, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  // The server may be on its way down or up at this moment: then there is nobody to do it to.
  await withClient(scene.server.config, work).catch(() => {});
}

function kill(scene: Scene, which: string, values: readonly unknown[] = []): Promise<void> {
  const text = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 ${which}`;
  return asAdmin(scene, (admin) => admin.query(text, [scene.applicationName, ...values]));
}

async function sessions({ server, applicationName }: Scene): Promise<number[]> {
  const text = 'select pid from pg_stat_activity where application_name = $1 order by pid';
  const rows = await withClient(server.config, async (admin) => {
    return (await admin.query<{ pid: number }>(text, [applicationName])).rows;
  }).catch(() => []);
  return rows.map(({ pid }) => pid);
}

/** Frozen where it stands; thawed whatever happens. */
async function freezeOne(scene: Scene, chance: Chance): Promise<void> {
  const [which, ms] = [chance.next(), chance.between(100, 900)];
  const pids = await sessions(scene);
  const pid = pids[Math.floor(which * pids.length)];
  if (pid === undefined) return;
  try {
    process.kill(pid, 'SIGSTOP');
  } catch {
    return; // ended meanwhile
  }
  try {
    await sleep(ms);
  } finally {
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      // Ended while it stood still.
    }
  }
}

const HOST_FAULTS = {
  'kill a lent backend': async (scene, chance) => {
    const which = chance.next();
    const { held } = scene.judge;
    const pid = held[Math.floor(which * held.length)];
    if (pid !== undefined) await kill(scene, 'and pid = $2', [pid]);
  },
  'kill a backend at rest': (scene) => kill(scene, "and state = 'idle' limit 1"),
  'kill every backend': (scene) => kill(scene, ''),
  'restart the server': ({ server }) => server.restart('fast'),
  'freeze a backend': freezeOne,
  'block the event loop': async (_, chance) => {
    const until = performance.now() + chance.between(300, 800);
    while (performance.now() < until);
  },
} satisfies Record<string, Fault>;

const VERBS = {
  resize: async (pool, chance, max) => {
    const now = 1 + chance.upTo(max);
    pool.resize({ min: chance.upTo(Math.min(3, now)), max: now });
    await sleep(chance.upTo(300));
    pool.resize({ min: 1, max });
  },
  'replace all': (pool, chance) => pool.replaceAll({ overMs: chance.upTo(2) * 200 }),
  check: (pool) => pool.check(),
  trim: (pool, chance) => pool.trim({ to: chance.upTo(3) }),
  'pause, borrowers wait': async (pool, chance) => {
    const quiet = pool.pause();
    await Promise.race([quiet, sleep(chance.upTo(400))]);
    pool.resume();
    await quiet;
  },
  'pause, borrowers are refused': async (pool, chance) => {
    const quiet = pool.pause({ borrowers: 'reject' });
    await sleep(chance.upTo(50));
    pool.resume();
    await quiet;
  },
} satisfies Record<string, Verb>;

type FaultName = NetworkFaultName | keyof typeof HOST_FAULTS | keyof typeof VERBS;

const WEIGHTS: ReadonlyMap<FaultName, number> = new Map<FaultName, number>([
  ['cut one', 4],
  ['cut all', 1],
  ['reset one', 4],
  ['reset in mid-reply', 5],
  ['stall one', 5],
  ['stall all', 2],
  ['drop one silently', 4],
  ['mute one direction', 4],
  ['half-open', 4],
  ['hang closes', 3],
  ['refuse connects', 3],
  ['refuse connects and cut all', 1],
  ['hang connects', 3],
  ['delay cancels', 5],
  ['kill a lent backend', 5],
  ['kill a backend at rest', 5],
  ['kill every backend', 2],
  ['restart the server', 1],
  ['freeze a backend', 4],
  ['block the event loop', 3],
  ['resize', 4],
  ['replace all', 2],
  ['check', 3],
  ['trim', 3],
  ['pause, borrowers wait', 2],
  ['pause, borrowers are refused', 2],
]);

function isNetworkFault(name: FaultName): name is NetworkFaultName {
  return name in NETWORK_FAULTS;
}

function isHostFault(name: FaultName): name is keyof typeof HOST_FAULTS {
  return name in HOST_FAULTS;
}

function drawn(chance: Chance): Draw {
  return {
    which: chance.next(),
    ms: chance.between(100, 800),
    bytes: chance.between(1, 60),
    way: chance.pick(['toServer', 'toClient']),
  };
}

/** The n-th fault of a seed, and how long after the one before it it comes: storms of a dozen or two, and calms between them. */
export function planned(
  seed: number,
  n: number,
): { readonly name: FaultName; readonly gapMs: number; readonly chance: Chance } {
  const chance = new Chance(seed, 'fault', n);
  const calm = n === 0 || chance.happens(1 / 16);
  const gapMs = calm ? chance.between(3_500, 6_000) : chance.between(50, 600);
  return { name: chance.weighted(WEIGHTS), gapMs: n === 0 ? 2_000 : gapMs, chance };
}

export class Faults {
  readonly done: Partial<Record<FaultName, number>> = {};
  count = 0;
  readonly #scene: Scene;
  readonly #seed: number;

  constructor(scene: Scene, seed: number) {
    this.#scene = scene;
    this.#seed = seed;
  }

  /** Until `until` (monotonic); resolves when all that began have ended. */
  async run(until: number): Promise<void> {
    const underWay: Promise<void>[] = [];
    for (let n = 0; ; n += 1) {
      const { name, gapMs, chance } = planned(this.#seed, n);
      if (performance.now() + gapMs >= until) break;
      await sleep(gapMs);
      underWay.push(this.#one(name, chance));
    }
    await Promise.all(underWay);
  }

  async #one(name: FaultName, chance: Chance): Promise<void> {
    const { judge, weather } = this.#scene;
    const work = this.#begin(name, chance);
    if (work === undefined) return;
    this.count += 1;
    this.done[name] = (this.done[name] ?? 0) + 1;
    const ended = weather.begin();
    const late = new AbortController();
    const bound = sleep(ENDS_WITHIN_MS, 'late', { signal: late.signal }).catch(() => 'in time');
    try {
      if ((await Promise.race([work, bound])) === 'late') {
        judge.violation("an operator's verb failed or never ended", `"${name}" did not end in ${ENDS_WITHIN_MS} ms`);
      }
    } catch (error) {
      judge.violation("an operator's verb failed or never ended", `"${name}": ${described(error)}`);
    } finally {
      late.abort();
      ended();
    }
  }

  /** Undefined where the pool knows no such verb: its place in the sequence passes. */
  #begin(name: FaultName, chance: Chance): Promise<unknown> | undefined {
    const { wire, pool, max } = this.#scene;
    if (isNetworkFault(name)) return wire.fault(name, drawn(chance));
    if (isHostFault(name)) return HOST_FAULTS[name](this.#scene, chance);
    return pool === undefined ? undefined : VERBS[name](pool, chance, max);
  }
}
