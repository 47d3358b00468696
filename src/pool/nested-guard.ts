// `nestedAcquire: 'forbid'`: a task that holds a connection of a pool may not ask the same pool for another. Owns that check, in front of the
// verbs that borrow; a pool with any other setting has no guard and pays nothing.

import { NestedAcquireError } from '../contracts/errors.ts';
import { capture, siteOf, stackOf } from '../diagnosis/call-sites.ts';
import { callsAround, currentCall, followTasks } from '../diagnosis/tasks.ts';
import * as face from './face.ts';
import type { PoolLease } from './lease.ts';

/** What a guard protects. */
export interface Guarded {
  readonly name: string;
  acquire(...args: never[]): Promise<unknown>;
}

/** A lease that was taken by hand: of which pool, and where. */
interface Taken {
  readonly pool: object;
  readonly origin: Error;
}

const taken = new WeakMap<object, Taken>();

/** By the call in which they were taken. What is only listed here must not be kept by it. */
const byHand = new WeakMap<object, WeakRef<PoolLease>[]>();
/** … and by the tenure, which is what `lease.transaction()` on such a lease is a task of: that must not keep the lease either. */
const byTenure = new WeakMap<object, WeakRef<PoolLease>>();

function isOut(ref: WeakRef<PoolLease>): boolean {
  const lease = ref.deref();
  return lease !== undefined && lease.fault === undefined;
}

/** Where the task around here has a connection of `pool`, if it has one. */
function held(pool: object): { readonly origin: object | undefined } | undefined {
  for (const call of callsAround()) {
    if (call.holds && call.pool === pool) return call;
    // `lease.transaction()` on a lease that was taken by hand: it stands for its pool.
    const lent = taken.get(byTenure.get(call.pool)?.deref() ?? call);
    if (call.holds && lent?.pool === pool) return lent;
    for (const ref of byHand.get(call) ?? []) {
      const found = isOut(ref) ? taken.get(ref.deref() ?? ref) : undefined;
      if (found?.pool === pool) return found;
    }
  }
  return undefined;
}

/** Sees to it that tasks are followed as far as the pool's options want that. `refused` is told of each error. */
export function watchNesting(
  pool: Guarded,
  { dev, nestedAcquire }: { readonly dev: boolean; readonly nestedAcquire: 'detect' | 'warn' | 'forbid' | 'allow' },
  refused: (error: Error) => void,
): void {
  if (nestedAcquire !== 'allow') followTasks(dev || nestedAcquire === 'forbid');
  if (nestedAcquire === 'forbid') forbidNested(pool, refused);
}

/** Puts the check in front of whatever borrows. */
function forbidNested(pool: Guarded, refused: (error: Error) => void): void {
  const fault = (): NestedAcquireError | undefined => {
    const first = held(pool);
    if (first === undefined) return undefined;
    const heldSite = first.origin instanceof Error ? siteOf(stackOf(first.origin)) : undefined;
    const site = siteOf(stackOf(capture()));
    const where = heldSite === undefined ? '' : ` taken at ${heldSite}`;
    const text = `${pool.name}: a task that holds a connection${where} asked for another one${site === undefined ? '' : ` at ${site}`}, which nestedAcquire: 'forbid' does not allow: pass the lease or the transaction on`;
    const error = new NestedAcquireError(text, { heldSite, site });
    refused(error);
    return error;
  };
  // Another guard may stand there already.
  const guards = new Map(
    ['acquire', 'tryAcquire', 'use', 'transaction', 'connect', 'query'].map((name) => [
      name,
      Object.getOwnPropertyDescriptor(pool, name)?.value,
    ]),
  );
  // Else it is looked up at each call: a tracer patches the prototype.
  const behind = (name: string, args: unknown[]): unknown =>
    Reflect.apply(guards.get(name) ?? Reflect.get(Object.getPrototypeOf(pool), name), pool, args);
  const verb = (name: string, refuse: (error: Error, args: unknown[]) => unknown): void => {
    const value = (...args: unknown[]): unknown => {
      const error = fault();
      if (error !== undefined) return refuse(error, args);
      return behind(name, args);
    };
    Object.defineProperty(pool, name, { value, configurable: true, writable: true });
  };
  const noted = (lease: PoolLease | undefined, origin: Error): void => {
    if (lease === undefined) return;
    taken.set(lease, { pool, origin });
    byTenure.set(lease.tenure, new WeakRef(lease));
    const here = currentCall();
    if (here !== undefined) byHand.set(here, [...(byHand.get(here) ?? []).filter(isOut), new WeakRef(lease)]);
  };
  for (const name of ['use', 'transaction']) verb(name, (error) => Promise.reject(error));
  verb('connect', (error, [callback]) =>
    face.connect(Promise.reject(error), callback as face.ConnectCallback | undefined),
  );
  verb('query', (error, [text, values, callback]) =>
    face.query(() => Promise.reject(error), text, values, callback as face.QueryCallback | undefined),
  );
  const acquire = async (...args: unknown[]): Promise<PoolLease> => {
    const error = fault();
    if (error !== undefined) throw error;
    const origin = capture();
    const lease: PoolLease = await (behind('acquire', args) as Promise<PoolLease>);
    noted(lease, origin);
    return lease;
  };
  const tryAcquire = (): PoolLease | undefined => {
    const error = fault();
    if (error !== undefined) throw error;
    const lease: PoolLease | undefined = behind('tryAcquire', []) as PoolLease | undefined;
    noted(lease, capture());
    return lease;
  };
  for (const [name, value] of Object.entries({ acquire, tryAcquire })) {
    Object.defineProperty(pool, name, { value, configurable: true, writable: true });
  }
}
