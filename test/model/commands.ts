// The words of the model: what may be done to a pool, as plain data. Owns how they are drawn, shrunk and printed; does
// nothing itself, so that a failing sequence can be read, cut down and run again.

import fc from 'fast-check';
import type { Doing } from '../../src/contracts/driver.ts';

/** What the server does with the next connects. `deaf` takes no notice of being given up. */
export type ConnectMode = 'ok' | 'slow' | 'slower' | 'refuse' | 'permanent' | 'full' | 'never' | 'deaf';
/** Whatever the pool waits for besides connects: calls of the driver, and the user's hooks. */
export type Call =
  | 'ping'
  | 'rollback'
  | 'discard'
  | 'restore'
  | 'inquire'
  | 'settle'
  | 'end'
  | 'destroy'
  | 'configure'
  | 'check'
  | 'reset';
/**
 * How a session proves its permit: at once, or it seeks for a while, or for ever; what it finds is that this attempt failed, or that none
 * can succeed, or that it is not admitted although it is wanted.
 */
export type Proof = 'ok' | 'seek' | 'long' | 'never' | 'fail' | 'permanent' | 'refuse';
/** `dirty`: done, but the session is left inside a transaction. `over`: nothing had to be cancelled (settle). */
export type How = 'slow' | 'late' | 'never' | 'fail' | 'dirty' | 'over';
/** The last three: condemned, and what that means for the others. */
export type ReleaseHow =
  | 'clean'
  | 'transaction'
  | 'failed'
  | 'busy'
  | 'error'
  | 'true'
  | 'keep'
  | 'suspect'
  | 'replace';
/** The moments of the engine in which a nosy observer asks for a connection itself. */
export type Moment = 'lent' | 'returned' | 'refused' | 'closed' | 'waiting' | 'lost' | 'opened' | 'retired';

export type Command =
  | {
      readonly do: 'acquire';
      readonly count: number;
      readonly timeoutMs: number | undefined;
      readonly signal: boolean;
      /** The borrower gives back by itself after so long. */
      readonly holdMs: number | undefined;
      /** As a query does: it stands in the queue itself, where it says nothing of its own and nobody is idle. */
      readonly stands?: boolean;
    }
  | { readonly do: 'tryAcquire' }
  | { readonly do: 'release'; readonly which: number; readonly how: ReleaseHow }
  | { readonly do: 'releaseAgain'; readonly which: number }
  | { readonly do: 'work'; readonly which: number; readonly status: 'idle' | 'transaction' | 'failed' | 'busy' }
  /** Its borrower changes what outlives a transaction. */
  | { readonly do: 'dirty'; readonly which: number }
  /** A statement begins from which nothing is heard; `doing` is what the server says of it when asked. */
  | { readonly do: 'silent'; readonly which: number; readonly doing: Doing }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'kill'; readonly which: number }
  | { readonly do: 'server'; readonly mode: ConnectMode; readonly times: number }
  | { readonly do: 'replies'; readonly call: Call; readonly how: How; readonly times: number }
  | { readonly do: 'block'; readonly ms: number }
  | { readonly do: 'sleep'; readonly ms: number }
  | { readonly do: 'resize'; readonly min: number; readonly max: number }
  | { readonly do: 'replaceAll'; readonly overMs: number }
  | { readonly do: 'pause'; readonly borrowers: 'wait' | 'reject' }
  | { readonly do: 'resume' }
  | { readonly do: 'trim'; readonly to: number }
  | { readonly do: 'check' }
  | { readonly do: 'open'; readonly wait: boolean; readonly timeoutMs: number | undefined; readonly signal: boolean }
  | { readonly do: 'ready'; readonly timeoutMs: number | undefined }
  | {
      readonly do: 'permits';
      readonly limit: number;
      readonly pressure: number;
      /** What must be waited for is granted after so long. */
      readonly delayMs?: number;
      /** While others starve, what comes back is theirs although somebody waits here. */
      readonly revokes?: boolean;
      /** Whoever asks is told no. */
      readonly dead?: boolean;
    }
  /** How the next sessions prove their permits. */
  | { readonly do: 'proofs'; readonly how: Proof; readonly times: number }
  | { readonly do: 'nested'; readonly on: boolean }
  | {
      readonly do: 'close';
      readonly drainMs: number;
      readonly cancelMs: number;
      readonly waiting: 'reject' | 'serve';
    };

/** What is drawn once per sequence. */
export interface Setup {
  readonly ports: 'inert' | 'scripted';
  /** The driver breaks its word now and then: sockets that cannot be destroyed, connects that cannot be given up. */
  readonly faithless: boolean;
  /** An observer asks for connections while it is being told. */
  readonly nosy: Moment | undefined;
  readonly permits: number;
  /** A new session has to prove its permit. */
  readonly proves: boolean;
  /** The timer that only holds the process fires too; it is muted in most sequences, since it costs a step each 50 ms. */
  readonly holds: boolean;
  readonly configure: boolean;
  readonly min: number;
  readonly max: number;
  readonly acquireTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly maxUses: number;
  readonly maxWaiting: number;
  readonly check: 'stale' | 'always' | 'never' | 'custom';
  readonly checkAfterIdleMs: number;
  readonly checkTimeoutMs: number;
  readonly reset: 'rollback' | 'none' | 'discard' | 'custom' | 'tracked';
  /** The driver knows whether a session is dirty. */
  readonly watches: boolean;
  /** Finite only where the timer that holds the process fires: it is also the one that looks. */
  readonly silentAfterMs: number;
  readonly returnTimeoutMs: number;
  readonly idlePingMs: number;
  readonly connectConcurrency: number;
  readonly reconnectTimeoutMs: number;
  readonly autoOpen: boolean;
  readonly seed: number;
}

const which = fc.nat({ max: 7 });
const times = fc.constantFrom(1, 1, 2, 4);
const timeoutMs = fc.constantFrom(undefined, undefined, 0, 20, 200, 5_000, Infinity);

interface Word {
  readonly name: Command['do'];
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<Command>;
}

const COMMANDS: readonly Word[] = [
  {
    name: 'acquire',
    weight: 80,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      count: fc.constantFrom(1, 1, 1, 2, 3),
      timeoutMs,
      signal: fc.boolean(),
      holdMs: fc.constantFrom(undefined, undefined, undefined, 0, 5, 60),
      stands: fc.boolean(),
    }),
  },
  { name: 'tryAcquire', weight: 10, arbitrary: fc.constant({ do: 'tryAcquire' }) },
  {
    name: 'release',
    weight: 50,
    arbitrary: fc.record({
      do: fc.constant('release' as const),
      which,
      how: fc.constantFrom<ReleaseHow>(
        'clean',
        'clean',
        'clean',
        'clean',
        'transaction',
        'failed',
        'busy',
        'error',
        'true',
        'keep',
        'suspect',
        'replace',
        'replace',
      ),
    }),
  },
  { name: 'releaseAgain', weight: 4, arbitrary: fc.record({ do: fc.constant('releaseAgain' as const), which }) },
  {
    name: 'work',
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      which,
      status: fc.constantFrom('idle' as const, 'transaction' as const, 'failed' as const, 'busy' as const),
    }),
  },
  { name: 'dirty', weight: 8, arbitrary: fc.record({ do: fc.constant('dirty' as const), which }) },
  {
    name: 'silent',
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('silent' as const),
      which,
      doing: fc.constantFrom<Doing>('gone', 'idle', 'working', 'unknown'),
    }),
  },
  { name: 'abort', weight: 10, arbitrary: fc.record({ do: fc.constant('abort' as const), which }) },
  {
    name: 'advance',
    weight: 50,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 5, 10, 25, 30, 50, 100, 100, 300, 300, 1_000, 2_500, 11_000),
    }),
  },
  { name: 'kill', weight: 12, arbitrary: fc.record({ do: fc.constant('kill' as const), which }) },
  {
    name: 'server',
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('server' as const),
      mode: fc.constantFrom<ConnectMode>(
        'ok',
        'slow',
        'slow',
        'slower',
        'refuse',
        'permanent',
        'full',
        'never',
        'deaf',
      ),
      times: fc.constantFrom(1, 1, 2, 4, Infinity),
    }),
  },
  {
    name: 'replies',
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('replies' as const),
      call: fc.constantFrom<Call>(
        'ping',
        'ping',
        'rollback',
        'discard',
        'restore',
        'restore',
        'inquire',
        'settle',
        'end',
        'destroy',
        'configure',
        'check',
        'reset',
      ),
      how: fc.constantFrom<How>('slow', 'late', 'never', 'fail', 'dirty', 'over'),
      times,
    }),
  },
  {
    name: 'block',
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('block' as const), ms: fc.constantFrom(40, 60, 300, 1_500) }),
  },
  {
    name: 'sleep',
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.constantFrom(500, 2_000, 60_000) }),
  },
  {
    name: 'resize',
    weight: 6,
    arbitrary: fc
      .tuple(fc.nat({ max: 3 }), fc.integer({ min: 1, max: 5 }))
      .map(([min, max]) => ({ do: 'resize' as const, min: Math.min(min, max), max })),
  },
  {
    name: 'replaceAll',
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('replaceAll' as const), overMs: fc.constantFrom(0, 0, 500) }),
  },
  {
    name: 'pause',
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pause' as const),
      borrowers: fc.constantFrom('wait' as const, 'reject' as const),
    }),
  },
  { name: 'resume', weight: 10, arbitrary: fc.constant({ do: 'resume' }) },
  { name: 'trim', weight: 2, arbitrary: fc.record({ do: fc.constant('trim' as const), to: fc.nat({ max: 2 }) }) },
  { name: 'check', weight: 4, arbitrary: fc.constant({ do: 'check' }) },
  {
    name: 'open',
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('open' as const), wait: fc.boolean(), timeoutMs, signal: fc.boolean() }),
  },
  { name: 'ready', weight: 2, arbitrary: fc.record({ do: fc.constant('ready' as const), timeoutMs }) },
  {
    name: 'permits',
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('permits' as const),
      limit: fc.nat({ max: 6 }),
      pressure: fc.constantFrom(0, 0, 0, 1, 3, Infinity),
      delayMs: fc.constantFrom(0, 0, 5, 60, 600),
      revokes: fc.boolean(),
      dead: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    name: 'proofs',
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('proofs' as const),
      how: fc.constantFrom<Proof>('ok', 'seek', 'long', 'never', 'never', 'fail', 'permanent', 'refuse'),
      times: fc.constantFrom(1, 2, 4, Infinity),
    }),
  },
  { name: 'nested', weight: 2, arbitrary: fc.record({ do: fc.constant('nested' as const), on: fc.boolean() }) },
  {
    name: 'close',
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('close' as const),
      drainMs: fc.constantFrom(0, 200, 5_000),
      cancelMs: fc.constantFrom(0, 100, 1_000),
      waiting: fc.constantFrom('reject' as const, 'serve' as const),
    }),
  },
];

/** The same words, so spoken that statements are silent for long enough to be asked about. */
const QUIET: Readonly<Partial<Record<Command['do'], number>>> = {
  acquire: 60,
  silent: 60,
  release: 16,
  advance: 80,
  work: 4,
  kill: 6,
  abort: 4,
  tryAcquire: 6,
  server: 10,
  replaceAll: 1,
  block: 3,
  pause: 1,
  resume: 4,
  close: 1,
};
/** Long enough for the shortest limit, and no longer than must be: each 50 ms cost a step. */
const QUIET_MS = [100, 300, 300, 500, 500, 1_000, 2_500] as const;

const quietCommand: fc.Arbitrary<Command> = fc.oneof(
  ...COMMANDS.flatMap(({ arbitrary, name }) => {
    const weight = QUIET[name];
    return weight === undefined ? [] : [{ weight, arbitrary }];
  }),
  {
    weight: 20,
    arbitrary: fc.record({
      do: fc.constant('replies' as const),
      call: fc.constantFrom<Call>('inquire', 'inquire', 'inquire', 'destroy', 'ping'),
      how: fc.constantFrom<How>('slow', 'late', 'never', 'fail', 'dirty'),
      times,
    }),
  },
  { weight: 80, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(...QUIET_MS) }) },
);

const command: fc.Arbitrary<Command> = fc.oneof(...COMMANDS);

const setup: fc.Arbitrary<Setup> = fc
  .record({
    ports: fc.constantFrom('inert' as const, 'scripted' as const),
    faithless: fc.constantFrom(false, false, false, true),
    nosy: fc.constantFrom<Moment | undefined>(
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      'lent',
      'returned',
      'refused',
      'closed',
      'waiting',
      'lost',
      'opened',
      'retired',
    ),
    permits: fc.integer({ min: 1, max: 6 }),
    proves: fc.boolean(),
    holds: fc.nat({ max: 11 }).map((n) => n === 11),
    configure: fc.boolean(),
    min: fc.constantFrom(0, 0, 1, 2),
    max: fc.integer({ min: 1, max: 5 }),
    acquireTimeoutMs: fc.constantFrom(30_000, 300, 2_000, Infinity),
    connectTimeoutMs: fc.constantFrom(2_000, 300),
    idleTimeoutMs: fc.constantFrom(Infinity, 0, 200, 5_000),
    maxLifetimeMs: fc.constantFrom(Infinity, Infinity, 500, 5_000),
    maxUses: fc.constantFrom(Infinity, Infinity, Infinity, 1, 3),
    maxWaiting: fc.constantFrom(Infinity, Infinity, 3, 5),
    check: fc.constantFrom('stale' as const, 'stale' as const, 'always' as const, 'never' as const, 'custom' as const),
    checkAfterIdleMs: fc.constantFrom(1_000, 100, 0, Infinity),
    checkTimeoutMs: fc.constantFrom(1_000, 100),
    reset: fc.constantFrom(
      'rollback' as const,
      'rollback' as const,
      'none' as const,
      'discard' as const,
      'custom' as const,
      'tracked' as const,
      'tracked' as const,
    ),
    watches: fc.constantFrom(true, true, true, false),
    silentAfterMs: fc.constantFrom(300, 300, 2_000, Infinity),
    returnTimeoutMs: fc.constantFrom(2_000, 200),
    idlePingMs: fc.constantFrom(Infinity, Infinity, 300, 2_000),
    connectConcurrency: fc.integer({ min: 1, max: 3 }),
    reconnectTimeoutMs: fc.constantFrom(300_000, 500),
    autoOpen: fc.nat({ max: 15 }).map((drawn) => drawn < 15),
    seed: fc.nat(),
  })
  .map((drawn) => ({
    ...drawn,
    min: Math.min(drawn.min, drawn.max),
    silentAfterMs: drawn.holds ? drawn.silentAfterMs : Infinity,
    // They need parts that only the scripted ports have.
    faithless: drawn.faithless && drawn.ports === 'scripted',
    nosy: drawn.ports === 'scripted' ? drawn.nosy : undefined,
    proves: drawn.proves && drawn.ports === 'scripted',
  }));

export const SHORTEST = 30;
const LONGEST = 60;

/** Drawn with at least `SHORTEST` commands, shrunk to as few as still fail. */
class Sequences extends fc.Arbitrary<Command[]> {
  readonly #drawn: fc.Arbitrary<Command[]>;
  readonly #shrunk: fc.Arbitrary<Command[]>;

  constructor(one: fc.Arbitrary<Command>) {
    super();
    this.#drawn = fc.array(one, { minLength: SHORTEST, maxLength: LONGEST, size: 'max' });
    this.#shrunk = fc.array(one, { minLength: 0, maxLength: LONGEST, size: 'max' });
  }

  override generate(random: fc.Random, bias: number | undefined): fc.Value<Command[]> {
    return this.#drawn.generate(random, bias);
  }

  override canShrinkWithoutContext(value: unknown): value is Command[] {
    return this.#shrunk.canShrinkWithoutContext(value);
  }

  override shrink(value: Command[], context: unknown): fc.Stream<fc.Value<Command[]>> {
    return this.#shrunk.shrink(value, context);
  }
}

/** A setup and what is done to it; one in so many is about silent statements. */
export const scene: fc.Arbitrary<[Setup, Command[]]> = fc.oneof(
  { weight: 19, arbitrary: fc.tuple(setup, new Sequences(command)) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      setup.map((drawn) => ({ ...drawn, holds: true, silentAfterMs: drawn.silentAfterMs === Infinity ? 300 : 2_000 })),
      new Sequences(quietCommand),
    ),
  },
);

/** One line for each command, as one would say it. */
export function line(command: Command): string {
  const { do: name, ...rest } = command;
  const words = Object.entries(rest).map(([key, value]) => `${key} ${String(value)}`);
  return words.length === 0 ? name : `${name} (${words.join(', ')})`;
}
