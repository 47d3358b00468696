// The question what the server does for certain sessions of ours (DESIGN B23), and what its answer means. Pure; who asks whom, and what
// follows, is decided elsewhere.

import type pg from 'pg';
import type { Doing, Inquiry } from '../contracts/driver.ts';
import { AS_TEXT } from './as-text.ts';

/** So long after its last change of state an idle session's reply would have arrived, were the line alive. */
const REPLY_IS_LATE_MS = 1_000;
/** The clocks of two machines and a slow log-in: a process this much younger than our session is another one with its number. */
const YOUNGER_MS = 5_000;

const TEXT = `SELECT s.pid, s.state,
    extract(epoch FROM pg_catalog.clock_timestamp() - s.backend_start) * 1000,
    extract(epoch FROM pg_catalog.clock_timestamp() - s.state_change) * 1000
  FROM pg_catalog.unnest($1::int[]) WITH ORDINALITY AS q (pid, n)
  LEFT JOIN pg_catalog.pg_stat_activity AS s ON s.pid = q.pid
  ORDER BY q.n`;

type Row = readonly [pid: string | null, state: string | null, ageMs: string | null, unchangedMs: string | null];

export function inquiryAbout(others: readonly Inquiry[]): pg.QueryArrayConfig<unknown[]> {
  const pids = `{${others.map(({ pid }) => pid).join(',')}}`;
  return { text: TEXT, values: [pids], rowMode: 'array', types: AS_TEXT };
}

export function doingsOf(rows: readonly unknown[], others: readonly Inquiry[]): Doing[] {
  return others.map((other, n) => doingOf(rows[n] as Row | undefined, other));
}

function doingOf(row: Row | undefined, { ageMs }: Inquiry): Doing {
  if (row === undefined) return 'unknown';
  const [pid, state, backendMs, unchangedMs] = row;
  if (pid === null) return 'gone';
  if (backendMs !== null && Number(backendMs) + YOUNGER_MS < ageMs) return 'gone';
  // Not told to us (another user's), or not kept (track_activities is off).
  if (state === null || state === 'disabled') return 'unknown';
  if (!state.startsWith('idle')) return 'working';
  return Number(unchangedMs) >= REPLY_IS_LATE_MS ? 'idle' : 'unknown';
}
