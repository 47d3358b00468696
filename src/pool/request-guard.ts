// Where the platform ties sockets to a request: a pool belongs to the context that used it first, and whoever comes from another one is told so
// at once, where pg would hang. Owns that check, for the verbs of a pool and for its leases; elsewhere no pool has a guard.

import { WrongLoopError } from '../contracts/errors.ts';
import type { PoolSnapshot } from '../contracts/snapshot.ts';
import type { LeaseClass } from '../core/lease.ts';
import { elsewhere, explain } from '../diagnosis/explain.ts';
import type { PgSession } from '../pg/session.ts';
import { bindsIo, type Contexts, type IoContext, platformContexts } from '../sharing/io-context.ts';
import * as face from './face.ts';
import { type PoolLease, poolLeaseClass } from './lease.ts';
import type { Warnings } from './warnings.ts';

const CALLS_BACK = ['connect', 'query', 'end'] as const;
const PROMISES = [
  'open',
  'ready',
  'close',
  'acquire',
  'use',
  'transaction',
  'replaceAll',
  'check',
  'trim',
  'pause',
] as const;
const THROWS = ['tryAcquire', 'resize', 'resume'] as const;

/** What to do instead of using one pool in several requests. */
const INSTEAD =
  "the platform ties sockets to the request that opened them; use createWorkersPool() of 'oxbow/workers', a pool for each request, or a pool in a Durable Object";

/** What a guard protects. */
export interface Guarded {
  readonly name: string;
  snapshot(): PoolSnapshot;
}

export class RequestGuard {
  readonly #contexts: Pick<Contexts, 'mint'>;
  readonly #name: string;
  readonly #instead: string;
  #home: IoContext | undefined;

  constructor(name: string, contexts: Pick<Contexts, 'mint'>, instead: string = INSTEAD) {
    this.#name = name;
    this.#contexts = contexts;
    this.#instead = instead;
  }

  /** Undefined here; the first caller's context is the pool's from then on. */
  fault(): WrongLoopError | undefined {
    this.#home ??= this.#contexts.mint();
    if (this.#home.here) return undefined;
    const lives = `${this.#name} lives in the request (or the Durable Object) that used it first`;
    return new WrongLoopError({ lives, used: 'in another one', instead: this.#instead });
  }

  /** Puts the check in front of the pool's verbs. */
  watch(pool: Guarded): void {
    const verb = (name: string, refuse: (error: WrongLoopError, args: unknown[]) => unknown): void => {
      const value = (...args: unknown[]): unknown => {
        const error = this.fault();
        if (error !== undefined) return refuse(error, args);
        // Looked up at each call: a tracer patches the prototype.
        return Reflect.apply(Reflect.get(Object.getPrototypeOf(pool), name), pool, args);
      };
      Object.defineProperty(pool, name, { value, configurable: true, writable: true });
    };
    for (const name of PROMISES) verb(name, (error) => Promise.reject(error));
    for (const name of CALLS_BACK) verb(name, (error, args) => answered(name, error, args));
    for (const name of THROWS)
      verb(name, (error) => {
        throw error;
      });
    verb('explain', ({ lives, used, instead }) => explain(elsewhere(pool.snapshot(), { lives, used, instead })));
  }

  /** Leases that cannot be used elsewhere; `otherwise` does what is asked of one in another context, or throws. */
  leases(otherwise: (error: WrongLoopError, work: () => void) => void): LeaseClass<PgSession, PoolLease> {
    const Class = poolLeaseClass();
    const { release, query, transaction } = Class.prototype as PoolLease;
    const override = (name: string, value: (this: PoolLease, ...args: unknown[]) => unknown): void => {
      Object.defineProperty(Class.prototype, name, { value, configurable: true, writable: true });
    };
    const fault = (): WrongLoopError | undefined => this.fault();
    override('release', function (...args) {
      const error = fault();
      const work = (): void => Reflect.apply(release, this, args);
      if (error === undefined) work();
      else otherwise(error, work);
    });
    for (const [name, own] of Object.entries({ query, transaction })) {
      override(name, function (...args) {
        const error = fault();
        if (error === undefined) return Reflect.apply(own, this, args);
        return name === 'query' ? answered('query', error, args) : Promise.reject(error);
      });
    }
    return Class;
  }
}

/** By callback, if that is how the caller wants to be answered. */
function answered(name: 'connect' | 'query' | 'end', error: Error, args: readonly unknown[]): unknown {
  const failed = Promise.reject(error);
  if (name === 'query') return face.query(() => failed, args[0], args[1], args[2] as face.QueryCallback | undefined);
  if (name === 'end') return face.end(failed, args[0] as face.EndCallback | undefined);
  return face.connect(failed, args[0] as face.ConnectCallback | undefined);
}

/** What the pool of one context is given by the pool that it is part of. */
export interface Part {
  readonly Lease: LeaseClass<PgSession, PoolLease>;
  /** Whether there is a pooler at each place that any part ever connected to. */
  readonly pooled: Map<string, boolean>;
  /** What was said already, by whichever part. */
  readonly warnings: Warnings;
}

/** By the options that a part, or the whole, is made with: it has no guard. */
const parts = new WeakMap<object, Part | undefined>();

/** A pool that is made with these very options is that part, or the whole, and has no guard of its own. */
export function unguarded(options: object, part?: Part): void {
  parts.set(options, part);
}

/** What is different about a pool that is being made with `options`, and what is to be done once it is made. */
export function guardOf(options: unknown, name: string): (Partial<Part> & { watch?(pool: Guarded): void }) | undefined {
  if (typeof options === 'object' && options !== null && parts.has(options)) return parts.get(options);
  if (!bindsIo) return undefined;
  const guard = new RequestGuard(name, platformContexts);
  const Lease = guard.leases((error) => {
    throw error;
  });
  return { Lease, watch: (pool) => guard.watch(pool) };
}
