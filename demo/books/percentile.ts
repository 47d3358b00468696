// Percentiles of a list of durations, exact. Pure.

/** The smallest value that `part` (0 to 1) of all values do not exceed; 0 if there are none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
}
