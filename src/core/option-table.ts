// Every option as data: kind, both columns of defaults, legal range, other names, one line of documentation.
// The resolver, the documentation and the tests read this one table. Knows nothing of pg but the names its pool uses.

import type { ClientOptions, EngineOptions } from '../contracts/options.ts';
import type { Alias, Common, OptionSpec } from './option-spec.ts';

export type { Alias, NumberSpec, OptionSpec, Personality } from './option-spec.ts';

export type OptionName = keyof EngineOptions | keyof ClientOptions;

/** The longest time a timer of JavaScript can run: 24.8 days. */
export const MAX_INT: number = 2 ** 31 - 1;

const MAX_CONNECTIONS = 10_000;

const nothing = { oxbow: undefined, pg: undefined };
const both = (value: unknown): Common['default'] => ({ oxbow: value, pg: value });
const each = (oxbow: unknown, pg: unknown): Common['default'] => ({ oxbow, pg });
const off = (name: string, more: Partial<Alias> = {}): readonly Alias[] => [
  { name, unit: 1, zeroIsOff: true, forClient: false, ...more },
];
const plain = (name: string): readonly Alias[] => [{ name, unit: 1, zeroIsOff: false, forClient: false }];

const base = { aliases: [], owner: 'engine', tier: 'rare' } as const;
/** A number that has to be finite. */
const bounded = { ...base, infinite: false, offAs: undefined, max: MAX_INT } as const;
/** A number that may also be `Infinity` or `false`. */
const limit = { ...base, infinite: true, max: MAX_INT } as const;

export const OPTIONS: Readonly<Record<OptionName, OptionSpec>> = {
  connectionString: {
    ...base,
    kind: 'text',
    default: nothing,
    min: 0,
    max: MAX_INT,
    owner: 'client',
    doc: "where to connect to; without it libpq's environment variables count",
    tier: 'essential',
  },
  connection: {
    ...base,
    kind: 'function',
    default: nothing,
    owner: 'client',
    doc: 'asked for connection settings before each connect',
  },
  min: {
    ...bounded,
    kind: 'count',
    default: both(0),
    min: 0,
    max: MAX_CONNECTIONS,
    doc: 'connections kept open even if nobody asks',
    tier: 'essential',
  },
  max: {
    ...bounded,
    kind: 'count',
    default: both(10),
    min: 1,
    max: MAX_CONNECTIONS,
    aliases: plain('poolSize'),
    doc: 'open sockets never exceed it',
    tier: 'essential',
  },
  name: {
    ...base,
    kind: 'text',
    default: nothing,
    min: 1,
    max: 128,
    doc: 'in errors, events and metrics',
    tier: 'essential',
  },
  acquireTimeoutMs: {
    ...limit,
    kind: 'ms',
    default: each(30_000, Infinity),
    min: 0,
    offAs: 'no deadline',
    aliases: off('connectionTimeoutMillis'),
    doc: 'how long a borrower waits at most',
    tier: 'essential',
  },
  queryTimeoutMs: {
    ...limit,
    kind: 'ms',
    default: both(Infinity),
    min: 1,
    offAs: 'no deadline',
    aliases: off('query_timeout', { forClient: true }),
    doc: 'deadline of each query, waiting and running',
    tier: 'essential',
  },
  connectTimeoutMs: { ...bounded, kind: 'ms', default: both(10_000), min: 1, doc: 'bound of one attempt to connect' },
  idleTimeoutMs: {
    ...limit,
    kind: 'ms',
    default: each(60_000, 10_000),
    min: 0,
    offAs: 'never',
    aliases: off('idleTimeoutMillis'),
    doc: 'an idle connection above min is closed after so long',
    tier: 'common',
  },
  maxLifetimeMs: {
    ...limit,
    kind: 'ms',
    default: each(3_600_000, Infinity),
    min: 1,
    offAs: 'no limit',
    aliases: off('maxLifetimeSeconds', { unit: 1000 }),
    doc: 'how old a connection gets at most',
    tier: 'common',
  },
  maxUses: {
    ...limit,
    kind: 'count',
    default: both(Infinity),
    min: 1,
    offAs: 'no limit',
    doc: 'checkouts per connection',
  },
  maxWaiting: {
    ...limit,
    kind: 'count',
    default: both(Infinity),
    min: 1,
    offAs: 'no limit',
    doc: 'how many borrowers may wait; the next one is refused',
    tier: 'common',
  },
  configure: {
    ...base,
    kind: 'function',
    default: nothing,
    aliases: plain('onConnect'),
    doc: 'called once per new connection, before anybody sees it',
    tier: 'common',
  },
  check: {
    ...base,
    kind: 'choice',
    default: both('stale'),
    words: ['stale', 'always', 'never'],
    doc: 'whether an idle connection is tried before it is lent',
  },
  checkAfterIdleMs: {
    ...limit,
    kind: 'ms',
    default: both(1_000),
    min: 0,
    offAs: 'only under suspicion',
    doc: 'from how long idle a connection counts as stale',
  },
  checkTimeoutMs: { ...bounded, kind: 'ms', default: both(1_000), min: 1, doc: 'bound of one liveness round trip' },
  reset: {
    ...base,
    kind: 'choice',
    default: both('rollback'),
    words: ['rollback', 'tracked', 'discard', 'none'],
    doc: 'what is done to a connection on its return',
    tier: 'common',
  },
  returnTimeoutMs: { ...bounded, kind: 'ms', default: both(5_000), min: 1, doc: 'bound on cleaning up at a return' },
  keepAlive: { ...base, kind: 'flag', default: both(true), owner: 'client', doc: 'TCP keep-alive' },
  keepAliveInitialDelayMillis: {
    ...bounded,
    kind: 'ms',
    default: both(10_000),
    min: 0,
    owner: 'client',
    doc: 'silence before the first keep-alive probe',
  },
  idlePingMs: {
    ...limit,
    kind: 'ms',
    default: each(120_000, Infinity),
    min: 1,
    offAs: 'off',
    doc: 'ping of long-idle connections that count towards min',
  },
  silentAfterMs: {
    ...limit,
    kind: 'ms',
    default: each(30_000, Infinity),
    min: 1,
    offAs: 'off',
    doc: 'how long a running statement may be silent before the server is asked what became of it',
  },
  condemn: {
    ...base,
    kind: 'record',
    default: nothing,
    example: "{ '25006': 'keep' }",
    doc: 'which errors cost a connection, by SQLSTATE or class, where the built-in table is not right',
  },
  pooler: {
    ...base,
    kind: 'word',
    default: both('auto'),
    words: ['auto', 'none', 'session', 'transaction'],
    doc: 'what stands between the pool and the server, such as PgBouncer',
  },
  speaker: {
    ...base,
    kind: 'word',
    default: each('auto', 'pg'),
    words: ['auto', 'pg'],
    doc: "who speaks on the wire for query(): pg, or where that is safe the pool's own faster codec",
  },
  prepare: {
    ...base,
    kind: 'word',
    orFalse: true,
    default: each('auto', false),
    words: ['auto', 'always'],
    doc: 'whether statements that are used again are prepared on the server by themselves',
  },
  connectConcurrency: {
    ...bounded,
    kind: 'count',
    default: both(3),
    min: 1,
    max: MAX_CONNECTIONS,
    doc: 'connects in flight while the server is healthy',
  },
  reconnectTimeoutMs: {
    ...limit,
    kind: 'ms',
    default: both(300_000),
    min: 0,
    offAs: 'never',
    doc: 'how long an outage lasts before onReconnectFailed is called',
  },
  onReconnectFailed: { ...base, kind: 'function', default: nothing, doc: 'called once per outage' },
  allowExitOnIdle: {
    ...base,
    kind: 'flag',
    default: each(true, false),
    doc: 'idle connections do not keep the process alive',
    tier: 'common',
  },
  autoOpen: { ...base, kind: 'flag', default: both(true), doc: 'the first use opens the pool' },
  dev: { ...base, kind: 'flag', default: nothing, doc: 'more warnings; by default as OXBOW_DEV and NODE_ENV say' },
  callSites: {
    ...base,
    kind: 'switch',
    words: ['auto'],
    default: both('auto'),
    doc: 'note where each lease was taken: always, never, or where it is likely to be asked for',
  },
  leakAfterMs: {
    ...limit,
    kind: 'ms',
    default: both(30_000),
    min: 1,
    offAs: 'never',
    doc: 'a lease without a running query for so long, while somebody starves, is reported',
    tier: 'common',
  },
  borrowLimitMs: {
    ...limit,
    kind: 'ms',
    default: both(Infinity),
    min: 1,
    offAs: 'off',
    doc: 'a lease held longer is cancelled and revoked',
  },
  nestedAcquire: {
    ...base,
    kind: 'word',
    words: ['detect', 'warn', 'forbid', 'allow'],
    default: each('detect', 'warn'),
    doc: 'what follows when tasks hold every connection and wait for another',
  },
  deadlockGraceMs: {
    ...bounded,
    kind: 'ms',
    default: both(500),
    min: 1,
    doc: 'for how long nothing must have moved before that counts as a deadlock',
  },
  logger: {
    ...base,
    kind: 'port',
    default: nothing,
    methods: ['debug', 'info', 'warn', 'error'],
    doc: 'where reports go',
    tier: 'common',
  },
  budget: {
    ...base,
    kind: 'port',
    default: nothing,
    methods: ['join'],
    doc: 'one limit shared with other pools: threads or a fleet',
  },
  clock: {
    ...base,
    kind: 'port',
    default: nothing,
    methods: ['now', 'wall', 'timer', 'pollPhase', 'random'],
    doc: 'time and chance, for tests',
  },
  driver: {
    ...base,
    kind: 'port',
    default: nothing,
    methods: ['open', 'classify'],
    doc: 'what opens sessions, for tests and other drivers',
  },
};

/** Documented for later versions. Refused until then: passed on to the client they would be ignored in silence. */
export const LATER_OPTIONS: ReadonlySet<string> = new Set(['multiplex', 'overload']);
