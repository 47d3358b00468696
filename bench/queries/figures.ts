// From slices to the figures of a row: medians, and ratios as the median of the ratios within a round. Pure.

import { median, medianRatio } from '../lib/statistics.ts';
import type { Contender } from './line-up.ts';
import type { Samples } from './measure.ts';

export interface Row {
  readonly name: Contender;
  readonly rate: number;
  /** Queries per second of this one, in pg-pool's. */
  readonly toPgPool: number;
  /** Queries per second of ours, in this one's. */
  readonly oursToThis: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly cpuUs: number;
  readonly serverUs: number;
  readonly heapBytes: number;
}

export type CellSamples = ReadonlyMap<Contender, Samples>;

/** Whoever ran as often, in the same rounds; the limit has a sample per generation only, so there it is the medians' ratio. */
export function ratio(of: readonly number[], to: readonly number[]): number {
  return of.length === to.length ? medianRatio(of, to) : median(of) / median(to);
}

export function rowsOf(samples: CellSamples): Row[] {
  const rateOf = (name: Contender): readonly number[] => samples.get(name)?.rate ?? [];
  return [...samples].map(([name, { rate, cpuUs, serverUs, served, latencies, heapBytes }]) => ({
    name,
    rate: median(rate),
    toPgPool: ratio(rate, rateOf('pg-pool')),
    oursToThis: ratio(rateOf('ours'), rate),
    p50: median(latencies.map(({ p50 }) => p50)),
    p99: median(latencies.map(({ p99 }) => p99)),
    p999: median(latencies.map(({ p999 }) => p999)),
    cpuUs: median(cpuUs),
    serverUs: serverUs / served,
    heapBytes,
  }));
}

/** Ours against ours in another process. */
export function noiseOf(samples: CellSamples): number {
  return ratio(samples.get('ours')?.rate ?? [], samples.get('ours again')?.rate ?? []);
}
