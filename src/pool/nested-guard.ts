// `nestedAcquire: 'forbid'`: a task that holds a connection of a pool may not ask the same pool for another. Owns that check, in front of the
// verbs that borrow; a pool with any other setting has no guard and pays nothing.

import { NestedAcquireError } from '../contracts/errors.ts';
import { capture, siteOf } from '../diagnosis/call-sites.ts';
import { callWith, currentCall, followTasks } from '../diagnosis/tasks.ts';
import * as face from './face.ts';
import type { Lease } from './lease.ts';

/** What a guard protects. */
export interface Guarded {
  readonly name: string;
  acquire(...args: never[]): Promise<Lease>;
}

type ByHand = Lease & { readonly released?: boolean };

/** Taken by hand inside a call, which is over before they matter to anybody. Weakly: a task that goes on may have forgotten them long ago. */
const byHand = new WeakMap<object, WeakRef<ByHand>[]>();
/** Where they were taken. Apart, since a stack holds on to whoever was called, and he may have the lease. */
const origins = new WeakMap<ByHand, Error>();

/** Where the task around here has a connection of `pool`, if it has one. */
function held(pool: object): { origin: object | undefined } | undefined {
  const call = callWith(pool);
  if (call !== undefined) return call;
  const here = currentCall();
  const taken = here === undefined ? undefined : byHand.get(here);
  for (const ref of taken ?? []) {
    const lease = ref.deref();
    if (lease !== undefined && lease.released !== true) return { origin: origins.get(lease) };
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
    const heldSite = first.origin instanceof Error ? siteOf(first.origin.stack ?? '') : undefined;
    const site = siteOf(capture().stack ?? '');
    const where = heldSite === undefined ? '' : ` taken at ${heldSite}`;
    const text = `${pool.name}: a task that holds a connection${where} asked for another one${site === undefined ? '' : ` at ${site}`}, which nestedAcquire: 'forbid' does not allow: pass the lease or the transaction on`;
    const error = new NestedAcquireError(text, { heldSite, site });
    refused(error);
    return error;
  };
  const verb = (name: string, refuse: (error: Error, args: unknown[]) => unknown): void => {
    const value = (...args: unknown[]): unknown => {
      const error = fault();
      if (error !== undefined) return refuse(error, args);
      // Looked up at each call: a tracer patches the prototype.
      return Reflect.apply(Reflect.get(Object.getPrototypeOf(pool), name), pool, args);
    };
    Object.defineProperty(pool, name, { value, configurable: true, writable: true });
  };
  const noted = (taken: Lease | undefined, origin: Error): void => {
    const here = currentCall();
    if (here === undefined || taken === undefined) return;
    const list = byHand.get(here) ?? [];
    list.push(new WeakRef(taken));
    origins.set(taken, origin);
    byHand.set(here, list);
  };
  for (const name of ['use', 'transaction']) verb(name, (error) => Promise.reject(error));
  verb('connect', (error, [callback]) =>
    face.connect(Promise.reject(error), callback as face.ConnectCallback | undefined),
  );
  verb('query', (error, [text, values, callback]) =>
    face.query(() => Promise.reject(error), text, values, callback as face.QueryCallback | undefined),
  );
  const own = Object.getPrototypeOf(pool);
  const acquire = async (...args: unknown[]): Promise<Lease> => {
    const error = fault();
    if (error !== undefined) throw error;
    const origin = capture();
    const lease: Lease = await Reflect.apply(Reflect.get(own, 'acquire'), pool, args);
    noted(lease, origin);
    return lease;
  };
  const tryAcquire = (): Lease | undefined => {
    const error = fault();
    if (error !== undefined) throw error;
    const lease: Lease | undefined = Reflect.apply(Reflect.get(own, 'tryAcquire'), pool, []);
    noted(lease, capture());
    return lease;
  };
  for (const [name, value] of Object.entries({ acquire, tryAcquire })) {
    Object.defineProperty(pool, name, { value, configurable: true, writable: true });
  }
}
