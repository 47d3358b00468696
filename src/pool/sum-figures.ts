// The figures of several pools as those of one. Owns the arithmetic; the counts are exact, and a percentile is the mean of theirs, weighted by
// how much each has counted.

import type { Explanation } from '../contracts/explain.ts';
import type { Distribution } from '../contracts/figures.ts';
import type { CloseReport, Health, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';

const GAUGES = ['size', 'opening', 'idle', 'lent', 'returning', 'closing', 'waiting'] as const;
const COUNTERS = [
  'requests',
  'requestsQueued',
  'connects',
  'connectsFailed',
  'connectionsLost',
  'returns',
  'returnsBad',
  'rolledBack',
  'reset',
  'cancelled',
  'leaksReported',
  'leasesReclaimed',
] as const;
const SPOKEN = ['queriesByCodec', 'queriesByPg', 'queriesPrepared'] as const;
const WORST: readonly Health[] = ['down', 'stuck', 'busy', 'up'];

function sum<K extends string>(
  parts: readonly Readonly<Partial<Record<K, number>>>[],
  keys: readonly K[],
): Record<K, number> {
  const pairs = keys.map((key) => [key, parts.reduce((total, part) => total + (part[key] ?? 0), 0)]);
  return Object.fromEntries(pairs);
}

function sumReasons<K extends string>(parts: readonly Partial<Record<K, number>>[]): Partial<Record<K, number>> {
  return sum(parts, [...new Set(parts.flatMap((part) => Object.keys(part) as K[]))]);
}

function sumDistributions(parts: readonly Distribution[]): Distribution {
  const count = parts.reduce((total, part) => total + part.count, 0);
  const mean = (of: 'mean' | 'p50' | 'p95' | 'p99'): number =>
    count === 0 ? 0 : parts.reduce((total, part) => total + part[of] * part.count, 0) / count;
  const max = Math.max(0, ...parts.map((part) => part.max));
  return { count, mean: mean('mean'), p50: mean('p50'), p95: mean('p95'), p99: mean('p99'), max };
}

/** `whole` says what is not a sum. */
export function sumSnapshots(
  parts: readonly PoolSnapshot[],
  whole: Pick<PoolSnapshot, 'name' | 'phase' | 'min' | 'max' | 'budget'>,
): PoolSnapshot {
  const failed = parts
    .flatMap(({ lastConnectError }) => lastConnectError ?? [])
    .sort((one, other) => one.agoMs - other.agoMs);
  const speaker = parts.findLast((part) => part.speaker !== undefined)?.speaker;
  return {
    ...whole,
    ...sum(parts, GAUGES),
    oldestWaitMs: Math.max(0, ...parts.map((part) => part.oldestWaitMs)),
    oldestLeaseMs: Math.max(0, ...parts.map((part) => part.oldestLeaseMs)),
    ...(failed[0] === undefined ? {} : { lastConnectError: failed[0] }),
    ...(speaker === undefined ? {} : { speaker }),
  };
}

/** Counters of `parts`, gauges of `now`. */
export function sumStats(parts: readonly PoolStats[], now: PoolSnapshot): PoolStats {
  const { lastConnectError: _error, server: _server, speaker: _speaker, ...gauges } = now;
  const spoken = parts.some((part) => part.queriesByPg !== undefined) ? sum(parts, SPOKEN) : {};
  return {
    ...gauges,
    ...sum(parts, COUNTERS),
    requestsFailed: sumReasons(parts.map((part) => part.requestsFailed)),
    retired: sumReasons(parts.map((part) => part.retired)),
    waitMs: sumDistributions(parts.map((part) => part.waitMs)),
    useMs: sumDistributions(parts.map((part) => part.useMs)),
    connectMs: sumDistributions(parts.map((part) => part.connectMs)),
    ...spoken,
  };
}

export function sumReports(parts: readonly CloseReport[]): CloseReport {
  const counts = sum(parts, ['closed', 'cancelled', 'destroyed', 'rejected']);
  return { ...counts, stillHeld: parts.flatMap(({ stillHeld }) => stillHeld) };
}

export function worstHealth(parts: readonly Health[]): Health {
  return WORST.find((health) => parts.includes(health)) ?? 'up';
}

/** The first that is not well, and of these the one whose borrowers have waited longest. */
export function worstExplanation(parts: readonly Explanation[]): Explanation | undefined {
  const waited = ({ evidence }: Explanation): number => Number(evidence.waitedMs ?? 0);
  const ill = parts.filter(({ verdict }) => verdict !== 'ok').sort((one, other) => waited(other) - waited(one));
  return ill[0] ?? parts[0];
}
