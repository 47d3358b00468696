// What a pool can be told: the documented options as types, and the same options once resolved. Types only.
// Defaults, ranges and other names are data in core/option-table; that file and this one are held together by the compiler.
// Times are integer milliseconds. In each option `undefined` means the default, and a number may be written as a string of
// digits, since it often comes from an environment variable. Whatever is out of range throws an `OptionError`.

import type { Clock } from './clock.ts';
import type { Driver } from './driver.ts';
import type { Budget } from './permits.ts';

/** A whole number, or one written in digits (`'5'`, `' 30000 '`). */
export type NumberOption = number | string | undefined;

/** The same, or `false` (also written `Infinity`): off, no limit, never. */
export type LimitOption = number | string | false | undefined;

/**
 * Where a pool writes what a human should read. The shape of pino, bunyan and fastify's loggers; methods are called with the logger as `this`.
 * A log that says by `isLevelEnabled('debug')` that it wants to (as pino can) is told of each lend and return too.
 */
export interface Logger {
  debug(obj: object, msg: string): void;
  info(obj: object, msg: string): void;
  warn(obj: object, msg: string): void;
  error(obj: object, msg: string): void;
  /** Asked once, when the pool is made. */
  isLevelEnabled?(level: string): boolean;
}

/** How an idle connection is looked at before it is lent. */
export type CheckOption<C> = 'stale' | 'always' | 'never' | ((client: C) => unknown);

/** What is done to a connection on its return. */
export type ResetOption<C> = 'rollback' | 'tracked' | 'none' | 'discard' | ((client: C) => unknown);

/** The options by their own names. `C` is the client that callbacks receive, `P` the pool. */
export interface EngineOptions<C = unknown, P = unknown> {
  /**
   * How many connections are kept open even if nobody asks. Default 0, legal 0 to `max`. They are opened by `open()`, restored
   * after an outage, and never closed for being idle. Raise it where the first requests after a quiet hour must not wait for a
   * connect; each one occupies a slot of the server all the time.
   */
  min?: NumberOption;

  /**
   * How many sockets the pool ever has at once, those being opened and being closed included. Default 10 (in `oxbow`: `min`, if
   * that is larger), legal 1 to 10 000. 10 is what pg uses. A database serves a few connections per core best: raise it only
   * when the explanation of a timeout says that all were busy, and keep the sum over all processes below the server's
   * `max_connections`.
   */
  max?: NumberOption;

  /**
   * The name in errors, events and metrics; also the session's `application_name`, if you give it and give no other. Default
   * `pool-1`, `pool-2`, … Legal: 1 to 128 characters. Give one as soon as a process has two pools.
   */
  name?: string | undefined;

  /**
   * How long a borrower waits at most: one absolute deadline over queue, connect, `configure` and check; then it is refused with
   * `PoolTimeoutError`. Milliseconds; default 30 000 (as HikariCP and psycopg), in `oxbow/pg` none. Legal from 0, which
   * means "only if one is there at once"; `false` waits for ever. Lower it below the patience of whoever calls you, so that they
   * get your error instead of their own timeout. Each call can give its own.
   */
  acquireTimeoutMs?: LimitOption;

  /**
   * The deadline of each query through the pool, a lease or a transaction, over waiting and running alike: `PoolTimeoutError`
   * while it waits, `QueryTimeoutError` while it runs, and the statement is cancelled on the server. Milliseconds; default
   * none, legal from 1. Each query can give its own `timeoutMs`. Raw clients do not get it, unless you use pg's name
   * `query_timeout`.
   */
  queryTimeoutMs?: LimitOption;

  /**
   * How long one attempt to connect may take: name look-up, TCP, TLS, authentication and `configure`. Then its socket is cut and
   * the next attempt follows. Milliseconds; default 10 000, legal from 1, never unlimited: a server that accepts and stays silent
   * would hold a slot for ever. Raise it when `configure` is slow.
   */
  connectTimeoutMs?: NumberOption;

  /**
   * A connection above `min` that lay idle for so long is closed. Milliseconds; default 60 000, in `oxbow/pg` 10 000. Legal from
   * 0, which closes it at once on return; `false` never. Keep it below the idle limit of what stands between you and the server.
   */
  idleTimeoutMs?: LimitOption;

  /**
   * How old a connection gets. The age of each is drawn once, between 75 % and 100 % of this, so that they do not all end
   * together; it is looked at on lend, on return and while idle, and never ends a lease. Milliseconds; default 3 600 000 (as
   * psycopg), in `oxbow/pg` none. Legal from 1; `false` for ever. Lower it where hosts or credentials rotate.
   */
  maxLifetimeMs?: LimitOption;

  /**
   * After how many checkouts a connection is replaced. Default none, legal from 1. A remedy for server memory that grows with the
   * session; `maxLifetimeMs` is the gentler one.
   */
  maxUses?: LimitOption;

  /**
   * How many borrowers may wait. The next one is refused at once with `QueueFullError`. Default none, legal from 1. Set it where
   * a late answer is worth less than an early refusal.
   */
  maxWaiting?: LimitOption;

  /**
   * Called once per new connection, before anybody sees it: the place for `SET`, type parsers and listeners. May be
   * asynchronous. Counts towards `connectTimeoutMs`. If it throws, or leaves a transaction open, the attempt has failed.
   */
  configure?: ((client: C) => unknown) | undefined;

  /**
   * How a connection is looked at before it is lent. `'stale'` (default): one round trip if it lay idle longer than
   * `checkAfterIdleMs` or is under suspicion. `'always'`: at every lend, which costs each borrower a round trip. `'never'`: for
   * servers on the same host. A function: run at every lend, on fresh connections too; if it throws, the connection is
   * replaced and the borrower goes on with another one within its deadline.
   */
  check?: CheckOption<C> | undefined;

  /**
   * From how long idle a connection counts as stale, see `check`. Milliseconds; default 1 000 (as pgx), legal from 0, which
   * checks all but those returned in this millisecond; `false` leaves only suspicion. Raise it on a reliable network.
   */
  checkAfterIdleMs?: LimitOption;

  /**
   * The bound of one such round trip. An answer that is later than this is waited for elsewhere, and the borrower gets another
   * connection. Milliseconds; default 1 000, legal from 1. Raise it for a server that is far away.
   */
  checkTimeoutMs?: NumberOption;

  /**
   * What is done to a connection on return. `'rollback'` (default): an open transaction is rolled back; session settings,
   * temporary tables and advisory locks stay, and the next borrower meets them. `'tracked'`: what was or may have been changed in the
   * session is undone, and `configure` called again; a lease whose statements are all known to leave nothing behind costs nothing. What a
   * statement does out of sight (triggers, views, rules, operators, column defaults, domains, a function that shadows a built-in one) is not seen:
   * it is hygiene, not a security boundary. `'discard'`: `DISCARD ALL`, then the pool's own
   * settings and `configure` again; costs a round trip at each return. `'none'`: nothing. A function: called after the
   * rollback; if it throws, leaves a transaction open or outlasts `returnTimeoutMs`, the connection is replaced.
   */
  reset?: ResetOption<C> | undefined;

  /**
   * The bound on rollback, reset and cancel while a connection returns; then it is replaced. Milliseconds; default 5 000, legal
   * from 1. Raise it when transactions are so large that rolling back takes longer.
   */
  returnTimeoutMs?: NumberOption;

  /**
   * How often idle connections that count towards `min` are pinged, from the one idle longest, so that no firewall forgets
   * them. Milliseconds; default 120 000, in `oxbow/pg` off. Legal from 1; `false` is off.
   */
  idlePingMs?: LimitOption;

  /**
   * After how long without a byte from the server a running statement is looked up there, through another session: gone or idle there
   * means that the line is dead, and the statement rejects with `ConnectionLostError`; still working is left alone, however long it
   * takes. Milliseconds; default 30 000, in `oxbow/pg` off. Legal from 1; `false` is off. Costs nothing while the server talks. Off
   * behind a pooler, unless `pooler: 'session'`.
   */
  silentAfterMs?: LimitOption;

  /**
   * Which errors of the server cost the connection on which they come, where the built-in table (docs/reference/errors.md) is not right
   * for you: by SQLSTATE, or its first two characters for a class. `'keep'`: none. `'replace'`: this connection, when it comes back.
   * `'suspect'`: and the idle ones are asked for a proof of life. `'replace-all'`: and all the others, for the host is no longer what it
   * was. What the server ends by itself (FATAL) cannot be kept.
   */
  condemn?: Readonly<Record<string, 'keep' | 'replace' | 'suspect' | 'replace-all'>> | undefined;

  /**
   * What stands between the pool and the server. `'auto'` (default): the first connection asks, for one round trip, and if there is a
   * pooler (PgBouncer, Supavisor, …) transaction pooling is assumed and what cannot work through it is reported. `'none'`: nobody asks.
   * `'session'`: there is one, and each client keeps its server session. `'transaction'`: as found by `'auto'`, but known.
   */
  pooler?: 'auto' | 'none' | 'session' | 'transaction' | undefined;

  /**
   * Who speaks on the wire for `pool.query()`, `lease.query()` and `tx.query()`. `'auto'` (default; in `oxbow/pg` `'pg'`): the pool's own
   * codec, on pg's connection and at half of pg's cost or less, wherever that can be no difference but speed: pg is one of the versions it was tested
   * with, the client is its own unpatched one, and the statement an ordinary one; everywhere else, and for raw clients always, pg itself
   * (docs/guides/speed.md has the list). `'pg'`: always pg. `snapshot().speaker` and `stats().queriesByCodec` tell who does.
   */
  speaker?: 'auto' | 'pg' | undefined;

  /**
   * Whether statements that are used again get a name of their own on the server, which then parses and plans them once per connection.
   * `'auto'` (default; in `oxbow/pg` false): a text that was used five times through `query()` (psycopg's rule), at most 100 per connection.
   * `'always'`: from the first use. `false`: only those that you name. Nothing is prepared behind a transaction pooler.
   */
  prepare?: 'auto' | 'always' | false | undefined;

  /**
   * How many connects may be in flight while the server is healthy; while it refuses, one at a time. Default 3 (psycopg's
   * workers), legal 1 to 10 000. Raise it for a pool that has to fill fast from a far server.
   */
  connectConcurrency?: NumberOption;

  /**
   * After how long an outage `onReconnectFailed` is called, once. The pool goes on trying. Milliseconds; default 300 000 (as
   * psycopg), legal from 0 (at the first failure); `false` never.
   */
  reconnectTimeoutMs?: LimitOption;

  /** Called once per outage that lasted `reconnectTimeoutMs`: the place to let the process end. What it throws is reported. */
  onReconnectFailed?: ((pool: P, error: Error) => unknown) | undefined;

  /**
   * Whether the process may end while connections are idle. Default true, in `oxbow/pg` false. Lent connections, connects and
   * waiters keep it alive either way. Set it to false where nothing else does.
   */
  allowExitOnIdle?: boolean | undefined;

  /**
   * Whether the first use opens the pool. Default true. With false, using it before `open()` is refused with `PoolClosedError`,
   * which makes sure that a wrong password fails the start and not the first user.
   */
  autoOpen?: boolean | undefined;

  /**
   * More warnings and more call sites; never another outcome. Default: whether `OXBOW_DEV` is `1`, or else `NODE_ENV` is
   * `development` or `test`.
   */
  dev?: boolean | undefined;

  /**
   * Whether the place in your code where a connection was taken is noted, for errors and `holders()`. `'auto'` (default): always in dev
   * mode, and when more than half of `max` is lent or somebody waits; else for one lease in sixteen; but outside dev at most 256 at
   * once and 100 a second. `true` costs one to three microseconds per lease; `false` nothing.
   */
  callSites?: boolean | 'auto' | undefined;

  /**
   * A lease without a running query for so long is reported once (`OXBOW_LEASE_HELD`), with its call site, while somebody starves, or in
   * dev mode at all; and again when it comes back. It is never taken away. Milliseconds; default 30 000, legal from 1; `false` never.
   * Raise it for a pool whose borrowers hold a connection by design, such as for LISTEN.
   */
  leakAfterMs?: LimitOption;

  /**
   * A lease that is held longer than this is taken away: what runs is cancelled, its next query rejects with `LEASE_REVOKED`, and its
   * connection is replaced. Milliseconds; default off, legal from 1. The remedy for leaks that nobody finds; set it well above the longest
   * honest borrowing.
   */
  borrowLimitMs?: LimitOption;

  /**
   * What follows when every connection is held by a task (a call of `use()` or `transaction()`) that waits here for another one, for longer
   * than `deadlockGraceMs`. `'detect'` (default): the youngest of those waiters is turned away with `DeadlockError`, so that the others go
   * on. `'warn'` (default in `oxbow/pg`): it is reported (`OXBOW_PROBABLE_DEADLOCK`). `'forbid'`: a task that holds a connection of this
   * pool and asks it for another is refused at once with `NestedAcquireError`. `'allow'`: nobody looks. It is a strong suspicion, not a
   * proof; docs/guides/deadlocks.md has its limits. Before Node 24 following tasks costs every `await` of the process something: outside
   * dev mode that begins when somebody first waits for a pool that is wholly lent; with `'forbid'`, when the pool is made.
   */
  nestedAcquire?: 'detect' | 'warn' | 'forbid' | 'allow' | undefined;

  /**
   * For how long nothing must have moved before that counts as a deadlock, see `nestedAcquire`. Milliseconds; default 500, legal from 1.
   */
  deadlockGraceMs?: NumberOption;

  /**
   * Where reports go, each by `warn(obj, msg)`. Default: they become process warnings, of each code one per call site; with
   * `NODE_DEBUG=oxbow` every event is written to stderr as well. What a report quotes of a statement is its text, so a literal in it is
   * written down too.
   */
  logger?: Logger | undefined;

  /**
   * One limit shared with other pools, whose permits this one takes for its connections: `postgresBudget()` of `oxbow/fleet`, or
   * `createThreadBudget()` and `joinThreadBudget()` of `oxbow/threads`. `max` still holds for this pool. Default none.
   */
  budget?: Budget | undefined;
  /** The clock and timers of the pool. Default the machine's. For tests: a `VirtualClock`. */
  clock?: Clock | undefined;

  /** What opens sessions. Default pg. For tests, and for other drivers. */
  driver?: Driver | undefined;
}

/** Options that are checked here and then belong to the client. */
export interface ClientOptions {
  /** Where to connect to, as a URL. Default: libpq's environment variables. Never shown in an error. */
  connectionString?: string | undefined;

  /**
   * Called before each connect, may be asynchronous, returns any of the client's settings: for hosts or credentials that rotate.
   * What it returns wins over what stands beside it.
   */
  connection?: (() => unknown) | undefined;

  /** TCP keep-alive. Default true; without it a line that was cut silently is noticed after hours. */
  keepAlive?: boolean | undefined;

  /** How long a line is silent before the first keep-alive probe. Milliseconds; default 10 000, legal from 0 (the system's own). */
  keepAliveInitialDelayMillis?: NumberOption;
}

/**
 * The names that node-postgres' pool has for the same things, with its meanings of 0: there it switches a limit off. Giving both
 * names is fine as long as they say the same.
 */
export interface AliasOptions<C = unknown> {
  /** `acquireTimeoutMs`; 0 waits for ever. */
  connectionTimeoutMillis?: LimitOption | null;
  /** `queryTimeoutMs`, and raw clients get it too; 0 is none. */
  query_timeout?: LimitOption | null;
  /** `idleTimeoutMs`; 0 and null never close one. */
  idleTimeoutMillis?: LimitOption | null;
  /** `maxLifetimeMs`, in seconds (fractions down to a millisecond); 0 is for ever. */
  maxLifetimeSeconds?: LimitOption | null;
  /** `configure`. */
  onConnect?: ((client: C) => unknown) | undefined;
  /** `max`. */
  poolSize?: NumberOption;
}

/** Every option there is, by every name. */
export interface AllOptions<C = unknown, P = unknown> extends EngineOptions<C, P>, ClientOptions, AliasOptions<C> {}

/** Options whose value stays undefined unless given: there is nothing, or the composition root fills it in. */
type Unfilled = 'name' | 'condemn' | 'configure' | 'onReconnectFailed' | 'logger' | 'budget' | 'clock' | 'driver';

/** Options that count or measure; resolved they are a number, `Infinity` for none, never and off. */
type Measured = {
  [K in keyof EngineOptions]-?: number extends EngineOptions[K] ? K : never;
}[keyof EngineOptions];

/** The engine's options with every default filled in. Frozen. */
export type ResolvedOptions<C = unknown, P = unknown> = {
  readonly [K in keyof EngineOptions<C, P>]-?: K extends Measured
    ? number
    : K extends Unfilled
      ? EngineOptions<C, P>[K]
      : Exclude<EngineOptions<C, P>[K], undefined>;
};
