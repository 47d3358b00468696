// The borrower's asynchronous context: which call of `use()` or `transaction()` a piece of work was begun in, and that none of the pool's own
// work is. Owns the one store of the process and when it is begun with; what follows from tasks that wait for each other is the graph's.

import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type { LeaseRecord } from '../contracts/ledger.ts';
import type { Task, TaskContext } from '../contracts/task-context.ts';
import { detached } from '../foundation/system-clock.ts';

/** A call of `use()` or `transaction()`. It holds no lease: whatever was begun inside, and goes on, keeps this. */
export class Call implements Task {
  parent: Call | undefined;
  /** Whose connection it has, to be compared. */
  readonly pool: object;
  /** What the ledger noted of where its connection was taken: a stack, which keeps its callers' timers, and those the calls before. */
  origin: object | undefined;
  /** Its function has settled. */
  over = false;
  /** Of the lease: it may be given back before that. */
  readonly #tenure: { readonly over: boolean };

  constructor(
    parent: Call | undefined,
    pool: object,
    { origin, tenure }: { readonly origin: object | undefined; readonly tenure: { readonly over: boolean } },
  ) {
    this.parent = parent;
    this.pool = pool;
    this.origin = origin;
    this.#tenure = tenure;
  }

  /** Under way, with the connection that it was begun with. */
  get holds(): boolean {
    return !this.over && !this.#tenure.over;
  }

  /** Its function has settled. What was begun inside and goes on keeps this, and is to keep nothing more by it. */
  end(): void {
    this.over = true;
    this.origin = undefined;
    shorten(this);
  }
}

/**
 * Takes the calls that are over out of the line of ancestors: what goes on after its call and begins the next, and so on, must not become a
 * chain without end.
 */
function shorten(call: Call | undefined): void {
  for (let at = call; at !== undefined; at = at.parent) {
    while (at.parent?.over === true) at.parent = at.parent.parent;
  }
}

/** Without one, `await` is what it was: before Node 24 the first store of a process doubles its cost for all code. */
let store: AsyncLocalStorage<Call> | undefined;

const [major = 0] = (process.versions?.node ?? '0').split('.').map(Number);
/** From Node 24 on the context travels with the promise itself (`AsyncContextFrame`), and nothing is paid for it. */
const FREE_FROM = 24;

/** A pool that wants to know of nested calls was made; `always`: from its first one on. */
export function followTasks(always: boolean): void {
  if (always || major >= FREE_FROM) matters();
}

function matters(): void {
  store ??= new AsyncLocalStorage();
}

/** What the function of a call runs in, or undefined if nobody follows. The lease is the task's. */
export function beginCall(
  lease: LeaseRecord & { readonly tenure: { readonly over: boolean } },
  pool: object,
): Call | undefined {
  if (store === undefined) return undefined;
  const call = new Call(store.getStore(), pool, lease);
  shorten(call);
  lease.task = call;
  return call;
}

/** Calls `fn` inside `call`. */
export function inside<A, R>(call: Call, fn: (argument: A) => R, argument: A): R {
  return store === undefined ? fn(argument) : store.run(call, fn, argument);
}

/** The calls around here, under way or not, innermost first. */
export function* callsAround(): Generator<Call> {
  for (let call = store?.getStore(); call !== undefined; call = call.parent) yield call;
}

/** The innermost call around here, under way or not. */
export function currentCall(): Call | undefined {
  return store?.getStore();
}

export const tasks: TaskContext = {
  detached,
  bound: (work) => AsyncResource.bind(work),
  current: currentCall,
  holdsLease: () => {
    for (let call = currentCall(); call !== undefined; call = call.parent) if (call.holds) return true;
    return false;
  },
  matters,
};
