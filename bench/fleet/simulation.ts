// A fleet of simulated processes before a server in memory, under crashes, pauses, wrong clocks, slow lines, lost notifications and one
// restart of the server. Owns the weather and the figures; the rules are the real ones.

import { postgresBudget } from '../../src/sharing/postgres-budget.ts';
import { FleetServer } from '../../test/kit/fleet-server.ts';
import { WorldClock } from './clock.ts';
import { type Appetite, SimulatedProcess, type Terms } from './process.ts';

export interface SimulationOptions {
  readonly processes: number;
  readonly limit: number;
  readonly seconds: number;
  readonly seed: number;
  /** The connections each process would have by itself. */
  readonly max: number;
  /** Of the processes, how many are hungry; of the others half are bursty and half idle. */
  readonly hungry: number;
  /** Default true: crashes, pauses and the restart. */
  readonly storms?: boolean;
}

export interface Figures {
  /** What must never be, as far as it was seen. */
  readonly wrong: readonly string[];
  readonly mostGranted: number;
  readonly mostSessions: number;
  /** Sessions without a permit that one process had at the same time. */
  readonly mostUnproven: number;
  readonly ops: number;
  readonly failures: number;
  readonly crashes: number;
  readonly pauses: number;
  /** Jain's index of what the hungry processes got done that lived all the time; 1: each as much as any other. */
  readonly jain: number;
  readonly opsOfHungry: { readonly least: number; readonly median: number; readonly most: number };
  /** Part of the limit that was granted, and that was lent, while there was demand for all of it. */
  readonly granted: number;
  readonly lent: number;
  /** Milliseconds until a permit of a process that crashed was somebody else's. */
  readonly rebalanceMs: { readonly count: number; readonly p50: number; readonly p99: number };
  /** Milliseconds after the restart until nine tenths of the permits were taken again. */
  readonly restartMs: number | undefined;
  /** A second, all processes together. */
  readonly statementsPerS: Readonly<Record<string, number>>;
  readonly connectsPerS: number;
  readonly notifiesPerS: number;
  readonly deliveredPerS: number;
}

const SAMPLE_MS = 20;

export async function simulate(options: SimulationOptions): Promise<Figures> {
  const { processes, limit, seconds, seed, max, hungry, storms = true } = options;
  const world = new WorldClock(seed);
  const server = new FleetServer(world);
  const wrong: string[] = [];
  const say = (what: string): void => {
    if (wrong.length < 20) wrong.push(`${what}, at ${world.now().toFixed(1)}`);
  };
  const terms: Terms = { world, server, budget: postgresBudget({ limit, key: 'simulated' }), max, wrong: say };
  const begun = (index: number): SimulatedProcess => {
    const appetite: Appetite = index < hungry ? 'hungry' : (index - hungry) % 2 === 0 ? 'bursty' : 'idle';
    return new SimulatedProcess(terms, appetite);
  };
  const fleet: (SimulatedProcess | undefined)[] = [];
  const dead: SimulatedProcess[] = [];
  const beginIn = (ms: number, index: number): void => {
    world.timer(ms, () => {
      fleet[index] = begun(index);
    });
  };
  for (let index = 0; index < processes; index += 1) beginIn(1_000 * world.random(), index);
  const living = (): SimulatedProcess[] => fleet.filter((one) => one !== undefined);
  let [crashes, pauses] = [0, 0];
  const freedAt = new Map<number, number>();
  const rebalanced: number[] = [];
  server.onTaken = (slot) => {
    const since = freedAt.get(slot);
    if (since === undefined) return;
    freedAt.delete(slot);
    rebalanced.push(world.now() - since);
  };
  await world.run(1_000);
  const startMs = world.now();
  const endMs = startMs + seconds * 1_000;
  let restartedAt = storms ? startMs + seconds * 500 : Infinity;
  let restartMs: number | undefined;
  let [samples, granted, lent, mostUnproven] = [0, 0, 0, 0];
  // What came before is the start of 200 processes, and nothing of the steady state.
  const asked = { ...server.asked };
  const [notifiedBefore, deliveredBefore] = [server.asked.notify, server.delivered];
  while (world.now() < endMs) {
    await world.run(SAMPLE_MS);
    if (storms) {
      for (const [index, one] of fleet.entries()) {
        if (one === undefined) continue;
        // 5 % a minute crash, and each stands still for 1 to 5 s about once in two minutes.
        if (world.random() < (0.05 * SAMPLE_MS) / 60_000) {
          crashes += 1;
          const busy = demandOf(living()) >= limit && server.granted > 0.9 * limit;
          for (const slot of one.crash()) if (busy) freedAt.set(slot, world.now());
          dead.push(one);
          fleet[index] = undefined;
          beginIn(1_000 + 2_000 * world.random(), index);
        } else if (world.random() < SAMPLE_MS / 120_000) {
          pauses += 1;
          one.clock.sleep(1_000 + 4_000 * world.random());
        }
      }
      if (world.now() >= restartedAt) {
        freedAt.clear();
        server.restart();
        restartMs = -world.now();
        restartedAt = Infinity;
      }
    }
    if (restartMs !== undefined && restartMs < 0 && server.granted >= 0.9 * limit) restartMs += world.now();
    if (server.granted > limit) say(`${server.granted} permits granted`);
    const unproven = new Map<unknown, number>();
    for (const { slots, line } of server.sessions)
      if (slots.size === 0) unproven.set(line, (unproven.get(line) ?? 0) + 1);
    mostUnproven = Math.max(mostUnproven, ...unproven.values());
    if (server.sessions.size > server.granted + unproven.size) say(`${server.sessions.size} sessions`);
    if (demandOf(living()) < limit) continue;
    samples += 1;
    granted += server.granted;
    for (const one of living()) lent += one.lent;
  }
  const all = [...living(), ...dead];
  const whole = living()
    .filter(({ appetite, bornAt }) => appetite === 'hungry' && bornAt <= startMs)
    .map(({ ops }) => ops);
  const rate = (count: number): number => Math.round((10 * count) / seconds) / 10;
  return {
    wrong,
    mostGranted: server.mostGranted,
    mostSessions: server.mostSessions,
    mostUnproven,
    ops: all.reduce((sum, one) => sum + one.ops, 0),
    failures: all.reduce((sum, one) => sum + one.failures, 0),
    crashes,
    pauses,
    jain: jainOf(whole),
    opsOfHungry: { least: quantile(whole, 0), median: quantile(whole, 0.5), most: quantile(whole, 1) },
    granted: granted / Math.max(1, samples) / limit,
    lent: lent / Math.max(1, samples) / limit,
    rebalanceMs: { count: rebalanced.length, p50: quantile(rebalanced, 0.5), p99: quantile(rebalanced, 0.99) },
    restartMs: restartMs === undefined || restartMs < 0 ? undefined : restartMs,
    statementsPerS: Object.fromEntries(
      Object.entries(server.asked).map(([kind, count]) => [kind, rate(count - (Reflect.get(asked, kind) as number))]),
    ),
    connectsPerS: rate(server.asked.first - asked.first),
    notifiesPerS: rate(server.asked.notify - notifiedBefore),
    deliveredPerS: rate(server.delivered - deliveredBefore),
  };
}

function demandOf(fleet: readonly SimulatedProcess[]): number {
  return fleet.reduce((sum, one) => sum + one.demand, 0);
}

function jainOf(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value * value, 0);
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0);
}
