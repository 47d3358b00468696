// The soak's command line: names, ranges and texts.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { UsageError, wholeNumber } from '../../demo/arguments.ts';

export const USAGE = `npm run soak -- threads [--seconds N] [--seed N]
npm run soak -- [--seconds N] [--seed N] [--reset R] [--silent-after N] [--speaker S] [--peers] [--write] [--plan N]

  --seconds N   how long there are faults, 5 to 36000 (default 60); 600 is the long one
  --seed N      the sequence of faults and what each task asks for (default: a random one, printed)
  --reset R     the pool's option \`reset\`: rollback (default), tracked or discard
  --silent-after N
                the pool's option \`silentAfterMs\` (default: longer than any statement may take here); one socket beyond
                max may then be a probe's
  --speaker S   the pool's option \`speaker\`: auto (default) or pg
  --peers       the same on pg.Pool and postgres.js: well-behaved borrowers, and then all of them
  --write       writes docs/benchmarks/soak.md; with --peers
  --plan N      prints the first N faults of the seed and what the first tasks ask for, and does nothing`;

export const CONTESTANTS = ['oxbow', 'pg.Pool', 'postgres.js'] as const;
export type ContestantName = (typeof CONTESTANTS)[number];
export type Manners = 'well-behaved' | 'all';
export type SpeakerName = 'auto' | 'pg';
export type Reset = 'rollback' | 'tracked' | 'discard';

export interface Arguments {
  /** One limit in several threads, instead of one pool under every fault. */
  readonly threads: boolean;
  readonly seconds: number;
  readonly seed: number;
  readonly reset: Reset;
  /** Milliseconds; undefined: the pool's default. */
  readonly silentAfter: number | undefined;
  readonly speaker: SpeakerName;
  readonly peers: boolean;
  readonly write: boolean;
  readonly help: boolean;
  readonly plan: number;
}

function parsed(argv: readonly string[]): Partial<Record<string, string | boolean>> {
  const flag = { type: 'boolean' } as const;
  const text = { type: 'string' } as const;
  const options = {
    seconds: text,
    seed: text,
    reset: text,
    'silent-after': text,
    speaker: text,
    plan: text,
    peers: flag,
    write: flag,
    help: flag,
  };
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

export function readArguments(argv: readonly string[]): Arguments {
  const threads = argv[0] === 'threads';
  const values = parsed(threads ? argv.slice(1) : argv);
  for (const name of threads ? Object.keys(values) : [])
    if (!['seconds', 'seed', 'help'].includes(name)) throw new UsageError(`--${name}: not with threads`);
  const number = (name: string, low: number, high: number, otherwise: () => number): number => {
    const value = values[name];
    return typeof value === 'string' ? wholeNumber(`--${name}`, value, low, high) : otherwise();
  };
  const { reset = 'rollback', speaker = 'auto', peers = false, write = false, help = false } = values;
  if (reset !== 'rollback' && reset !== 'tracked' && reset !== 'discard') {
    throw new UsageError(`--reset: expected rollback, tracked or discard, got '${String(reset)}'`);
  }
  if (speaker !== 'auto' && speaker !== 'pg')
    throw new UsageError(`--speaker: expected auto or pg, got '${String(speaker)}'`);
  if (write === true && peers !== true) throw new UsageError('--write: the page compares; use it with --peers');
  return {
    threads,
    seconds: number('seconds', 5, 36_000, () => 60),
    seed: number('seed', 0, 0xffff_ffff, () => randomInt(1_000_000_000)),
    plan: number('plan', 0, 10_000, () => 0),
    reset,
    silentAfter: values['silent-after'] === undefined ? undefined : number('silent-after', 1, 60_000, () => 0),
    speaker,
    peers: peers === true,
    write: write === true,
    help: help === true,
  };
}
