// The catalogue: everything that a pool tells, by the way on which it tells it, with a sentence for each. Data; the compiler checks that nothing
// is missing or too much, docs/reference/events.md is made of it. Nothing at run time needs the sentences, so the pool does not import this.

import type { Observer } from '../contracts/events.ts';
import type { ReportCode } from '../contracts/reporter.ts';
import type { ChannelName, Messages, Place } from './channels.ts';
import { LEVELS, type Level } from './log-levels.ts';

type Payload<N extends keyof Observer> = Parameters<Observer[N]>[0];

/** A sentence for each field, and for no other. */
type Fields<T> = { readonly [K in keyof T]-?: string };

export interface Happening<T> {
  readonly sentence: string;
  readonly fields: Fields<T>;
}

/** What an observer is told. */
export const EVENTS: { readonly [N in keyof Observer]: Happening<Payload<N>> } = {
  phase: {
    sentence: 'The pool went from one phase to another.',
    fields: { from: 'the phase that ended', to: 'the one that began' },
  },
  opening: { sentence: 'A connect begins.', fields: { attempt: 'counts from 1 within an outage' } },
  opened: {
    sentence: 'A connection is ready.',
    fields: {
      id: "the connection's number in this pool",
      ms: 'from the dial until it was configured',
      pid: "the server's process, 0 if it cannot be named",
    },
  },
  openFailed: {
    sentence: 'A connect failed.',
    fields: {
      error: 'why',
      attempt: 'counts from 1 within an outage',
      retryInMs: 'when it is tried again; absent if at once',
    },
  },
  waiting: {
    sentence: 'A request was queued.',
    fields: { position: 'its place, from 1', label: 'its label, if it has one' },
  },
  lent: {
    sentence: 'A connection was handed over.',
    fields: {
      id: "the connection's number",
      lease: "the lease's number",
      waitedMs: 'how long its borrower waited',
      label: "the request's label, if it has one",
    },
  },
  refused: { sentence: 'A request failed.', fields: { reason: 'in a word', error: 'what the borrower was told' } },
  returned: {
    sentence: 'A lease came back.',
    fields: {
      id: "the connection's number",
      lease: "the lease's number",
      heldMs: 'how long it was held',
      outcome: 'what had to be done to the connection',
    },
  },
  retired: {
    sentence: 'A connection is given up on purpose.',
    fields: { id: "the connection's number", reason: 'in a word' },
  },
  lost: {
    sentence: 'A connection died by itself.',
    fields: { id: "the connection's number", error: 'how', state: 'what it was doing' },
  },
  closed: {
    sentence: "A connection's socket is gone.",
    fields: { id: "the connection's number", bySocketDestroyed: 'whether it was cut instead of said goodbye to' },
  },
  report: {
    sentence: 'Something that a human should read.',
    fields: {
      code: 'one of the reports below',
      message: 'a sentence with figures',
      site: '`file:line`, where it is known',
    },
  },
};

/** When each report is made. */
export const REPORTS: Readonly<Record<ReportCode, string>> = {
  OXBOW_LEASE_HELD: 'a lease is held for longer than it should be, or a pool that was replaced cannot drain for it',
  OXBOW_LEASE_COLLECTED: 'a lease was never given back, and nobody can do that any more',
  OXBOW_PROBABLE_DEADLOCK: 'with `nestedAcquire: "warn"`, tasks hold every connection and wait for another one',
  OXBOW_OPEN_TRANSACTION: 'a connection came back in a transaction and was rolled back',
  OXBOW_BUSY_RETURN: 'a connection came back with a statement still running, which was cancelled',
  OXBOW_RESET_FAILED: 'a connection could not be cleaned at its return and is replaced',
  OXBOW_CALLBACK_FAILED: 'a function of the user threw where nobody could be told: a listener, an observer, a callback',
  OXBOW_CONNECT_FAILED:
    'connecting fails for good while other connections live, or has failed for `reconnectTimeoutMs`',
  OXBOW_CONNECTION_LOST: 'a connection was lost idle or at its return, and nobody listens to `error`',
  OXBOW_SOCKET_STUCK: 'a driver did not give up a connect or a socket in time',
  OXBOW_FAILOVER: 'the server is no longer what it was, and all its connections are replaced',
  OXBOW_POOLER: 'a pooler was found, or something was asked of one that it cannot do',
  OXBOW_IMPLICIT_OPEN: 'in dev mode, the first use opened the pool',
  OXBOW_MANY_POOLS: 'a third pool for the same purpose came into use in this process',
  OXBOW_OPTION: 'an option does not do what it seems to',
};

/** What every message on a channel has. */
export const PLACE: Fields<Place> = {
  poolName: 'the option `name`, or `pool-N`',
  serverAddress: 'the host, or the folder of a socket; absent before the first connection where a function tells it',
  serverPort: 'the port',
  database: 'the database',
};

const CLIENT = 'the connection: `{ processID }` of the server, empty where that cannot be named';
const ERROR = 'why it failed; the error of a server may quote values';

export interface ChannelEntry<T> extends Happening<T> {
  /** Tracing: five channels, `tracing:NAME:start` and so on, as Node makes them. */
  readonly kind: 'tracing' | 'plain';
}

export const CHANNELS: { readonly [N in ChannelName]: ChannelEntry<Omit<Messages[N], keyof Place>> } = {
  'pg:pool:connect': {
    kind: 'tracing',
    sentence:
      'Somebody asks for a connection: `connect()`, `acquire()`, `use()`, `transaction()`, and each `query()` of the pool. Not `tryAcquire()`, which never waits.',
    fields: {
      pool: '`{ totalCount, idleCount, waitingCount, maxSize }` as it was asked',
      label: "the request's label, if it has one",
      client: `${CLIENT}; once it was lent`,
      lease: "the lease's number, once it was lent",
      waitedMs: 'how long it took, once it was lent',
      error: ERROR,
    },
  },
  'pg:pool:release': {
    kind: 'plain',
    sentence: 'A borrower gave its connection back.',
    fields: {
      client: CLIENT,
      lease: "the lease's number",
      heldMs: 'how long it was held',
      error: 'what `release()` was given, if the connection is to be replaced',
    },
  },
  'pg:pool:remove': { kind: 'plain', sentence: "A connection's socket is gone.", fields: { client: CLIENT } },
  'oxbow:query': {
    kind: 'tracing',
    sentence:
      'A query that the codec speaks. What pg speaks is for pg to publish; BEGIN, which travels with the first statement of a transaction, is none of its own.',
    fields: {
      client: CLIENT,
      text: 'its text in one line, at most 200 characters, without its values; a literal in it is part of it',
      operation: 'its first word, in capitals',
      command: "the server's word for what was done, once it was answered",
      rowCount: 'how many rows, once it was answered',
      error: ERROR,
    },
  },
  'oxbow:transaction': {
    kind: 'tracing',
    sentence:
      'The work of `transaction()` on its connection, from before BEGIN until after COMMIT or ROLLBACK, retries included.',
    fields: {
      client: CLIENT,
      lease: "the lease's number",
      label: "the request's label, if it has one",
      isolation: 'if it was asked for',
      readOnly: 'if it was asked for',
      error: ERROR,
    },
  },
  'oxbow:reconnect': {
    kind: 'plain',
    sentence: 'A connect failed, or the first one after that succeeded.',
    fields: {
      state: '`failed` or `restored`',
      attempt: 'which one failed, from 1 within an outage; or how many had failed',
      retryInMs: 'when it is tried again; absent if at once',
      error: 'why',
    },
  },
  'oxbow:validate': {
    kind: 'plain',
    sentence: 'A connection at rest was asked for a proof of life.',
    fields: { client: CLIENT, outcome: '`kept`, `replaced` or `late`', ms: 'how long that took' },
  },
  'oxbow:leak': {
    kind: 'plain',
    sentence: 'A report that a lease is held too long, or was lost.',
    fields: {
      code: '`OXBOW_LEASE_HELD` or `OXBOW_LEASE_COLLECTED`',
      message: "the report's sentence",
      site: '`file:line` of the borrower, where it is known',
    },
  },
  'oxbow:resize': {
    kind: 'plain',
    sentence: 'The limits were changed by `resize()`.',
    fields: { min: 'the new one', max: 'the new one', oldMin: 'as it was', oldMax: 'as it was' },
  },
  'oxbow:drain': {
    kind: 'plain',
    sentence: 'The pool begins to close, or is closed.',
    fields: { state: '`begun` or `ended`', lent: 'connections that are lent', waiting: 'requests that wait' },
  },
};

/** What the option `logger` gets of each event, and when that is louder. */
export const LOG: Readonly<Record<keyof Observer, { readonly level: Level; readonly but?: string }>> = {
  phase: { level: LEVELS.phase },
  opening: { level: LEVELS.opening },
  opened: { level: LEVELS.opened, but: '`info` as well if it is the first after connects that failed' },
  openFailed: {
    level: LEVELS.openFailed,
    but: '`error` if trying again does not help: a wrong password, an unknown database',
  },
  waiting: { level: LEVELS.waiting },
  lent: { level: LEVELS.lent },
  refused: { level: LEVELS.refused, but: 'its borrower has the error' },
  returned: { level: LEVELS.returned },
  retired: { level: LEVELS.retired },
  lost: { level: LEVELS.lost },
  closed: { level: LEVELS.closed },
  report: { level: LEVELS.report, but: 'by `warn({ code, site, err }, message)`' },
};
