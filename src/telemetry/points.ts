// What a metric has to say of several pools at one moment, one point for each name and value of its attribute. Owns that pools of one name
// are told as one: what is counted is added, of a gauge the largest counts. Knows no exporter.

import type { Figures, ReadMetric } from './metrics.ts';
import type { Reading } from './tally.ts';

export interface Point {
  /** The pool's name. */
  readonly pool: string;
  /** Of the metric's attribute, if it has one. */
  readonly value: string | undefined;
  readonly amount: number;
}

function parts(figures: Figures): readonly (readonly [string | undefined, number])[] {
  if (figures === undefined) return [];
  return typeof figures === 'number' ? [[undefined, figures]] : Object.entries(figures);
}

export function pointsOf({ instrument, read }: ReadMetric, readings: readonly Reading[]): readonly Point[] {
  const join = instrument === 'gauge' ? Math.max : (one: number, other: number): number => one + other;
  const points = new Map<string, Point>();
  for (const reading of readings) {
    const pool = reading.snapshot.name;
    for (const [value, amount] of parts(read(reading))) {
      const key = JSON.stringify([pool, value]);
      const before = points.get(key);
      points.set(key, { pool, value, amount: before === undefined ? amount : join(before.amount, amount) });
    }
  }
  return [...points.values()];
}
