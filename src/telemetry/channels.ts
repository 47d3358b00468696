// The channels of node:diagnostics_channel that pools publish on: what they are called, what a message has, how a call is traced on one. Owns
// these objects and which pool a message is about; what is told, and when, is the pool's business.

import { type Channel, channel } from 'node:diagnostics_channel';
import type { ReportCode } from '../contracts/reporter.ts';

/** Where it happened, in each message. No user, no password. */
export interface Place {
  poolName: string;
  serverAddress?: string;
  serverPort?: number;
  database?: string;
}

/** A connection, as node-postgres' own proposal for these channels names it. */
interface OfClient {
  client: { processID?: number };
}

/** What may be added to a context while a call is traced. */
interface Failing {
  error?: unknown;
}

/** What is published, by channel. Plain data but for `error`, which is the error itself. */
export interface Messages {
  'pg:pool:connect': Place &
    Partial<OfClient> &
    Failing & {
      pool: { totalCount: number; idleCount: number; waitingCount: number; maxSize: number };
      label?: string;
      lease?: number;
      waitedMs?: number;
    };
  'pg:pool:release': Place & OfClient & Failing & { lease: number; heldMs: number };
  'pg:pool:remove': Place & OfClient;
  'oxbow:query': Place &
    OfClient &
    Failing & { text: string; operation: string; command?: string; rowCount?: number | null };
  'oxbow:transaction': Place &
    OfClient &
    Failing & { lease: number; label?: string; isolation?: string; readOnly?: boolean };
  'oxbow:reconnect': Place & Failing & { state: 'failed' | 'restored'; attempt: number; retryInMs?: number };
  'oxbow:validate': Place & OfClient & { outcome: 'kept' | 'replaced' | 'late'; ms: number };
  'oxbow:leak': Place & { code: string; message: string; site?: string };
  'oxbow:resize': Place & { min: number; max: number; oldMin: number; oldMax: number };
  'oxbow:drain': Place & { state: 'begun' | 'ended'; lent: number; waiting: number };
}

export type ChannelName = keyof Messages;

/** Not in the message itself: whoever prints one must not print a pool. */
const owners = new WeakMap<object, object>();
/** How many want to tell the messages of a pool from those of others; marking one costs more than all else about it. */
let asking = 0;

/** Whether the message is about this very pool; it is marked while somebody asks. */
export function isAbout(message: object, pool: object): boolean {
  return owners.get(message) === pool;
}

/** From now on messages are marked as being about their pools. Returns the undo, to be called once. */
export function markMessages(): () => void {
  asking += 1;
  return () => {
    asking -= 1;
  };
}

export function about<M extends object>(pool: object, message: M): M {
  if (asking > 0) owners.set(message, pool);
  return message;
}

/** A channel on which something is told once. */
export class Plain<N extends ChannelName> {
  readonly name: N;
  readonly #channel: Channel;

  constructor(name: N) {
    this.name = name;
    this.#channel = channel(name);
  }

  get hasSubscribers(): boolean {
    return this.#channel.hasSubscribers;
  }

  publish(message: Messages[N]): void {
    this.#channel.publish(message);
  }
}

/**
 * A call that takes its time, on five channels: those of `tracingChannel(name)`, which not every runtime can be asked whether anybody listens.
 * The order is Node's: `start`, `end` when the call returns, then, perhaps after `error`, `asyncStart` and `asyncEnd`.
 */
export class Tracing<N extends ChannelName> {
  readonly name: N;
  readonly #start: Channel;
  readonly #end: Channel;
  readonly #asyncStart: Channel;
  readonly #asyncEnd: Channel;
  readonly #error: Channel;

  constructor(name: N) {
    this.name = name;
    const part = (event: string): Channel => channel(`tracing:${name}:${event}`);
    this.#start = part('start');
    this.#end = part('end');
    this.#asyncStart = part('asyncStart');
    this.#asyncEnd = part('asyncEnd');
    this.#error = part('error');
  }

  get hasSubscribers(): boolean {
    return (
      this.#start.hasSubscribers ||
      this.#asyncEnd.hasSubscribers ||
      this.#error.hasSubscribers ||
      this.#end.hasSubscribers ||
      this.#asyncStart.hasSubscribers
    );
  }

  /** Traces what `work` begins; `done` may put into the context what came of it. */
  trace<T>(context: Messages[N] & Failing, work: () => Promise<T>, done?: (value: T) => void): Promise<T> {
    return this.begin(context, () => {
      const promise = work();
      // Beside the caller, who gets the very promise: to be heard must not make anybody a turn later.
      promise.then(
        (value) => {
          done?.(value);
          this.settled(context);
        },
        (error: unknown) => this.failed(context, error),
      );
      return promise;
    });
  }

  /** Calls `work`, which begins it; what is bound to the channel's stores is so in there. */
  begin<T>(context: Messages[N] & Failing, work: () => T): T {
    return this.#start.runStores(context, () => {
      try {
        return work();
      } catch (error) {
        context.error = error;
        this.#error.publish(context);
        throw error;
      } finally {
        this.#end.publish(context);
      }
    });
  }

  settled(context: Messages[N]): void {
    this.#asyncStart.publish(context);
    this.#asyncEnd.publish(context);
  }

  failed(context: Messages[N] & Failing, error: unknown): void {
    context.error = error;
    this.#error.publish(context);
    this.settled(context);
  }
}

/** By pg's own names, so that whoever knows those sees this pool too. Not `pg:query`: that is for pg to publish. */
export const connects: Tracing<'pg:pool:connect'> = new Tracing('pg:pool:connect');
export const releases: Plain<'pg:pool:release'> = new Plain('pg:pool:release');
export const removals: Plain<'pg:pool:remove'> = new Plain('pg:pool:remove');
export const queries: Tracing<'oxbow:query'> = new Tracing('oxbow:query');
export const transactions: Tracing<'oxbow:transaction'> = new Tracing('oxbow:transaction');
export const reconnects: Plain<'oxbow:reconnect'> = new Plain('oxbow:reconnect');
export const validations: Plain<'oxbow:validate'> = new Plain('oxbow:validate');
export const leaks: Plain<'oxbow:leak'> = new Plain('oxbow:leak');
/** Of the reports that a lease is held too long, or was lost. */
export const LEAK_CODES: ReadonlySet<ReportCode> = new Set<ReportCode>(['OXBOW_LEASE_HELD', 'OXBOW_LEASE_COLLECTED']);
export const resizes: Plain<'oxbow:resize'> = new Plain('oxbow:resize');
export const drains: Plain<'oxbow:drain'> = new Plain('oxbow:drain');
