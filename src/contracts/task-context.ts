// The port to the borrower's asynchronous context (AsyncLocalStorage in Node). The engine only says which work is its own
// and which lease belongs to which call; it never looks into a store.

/** A call of `use()` or `transaction()` under way. Knows no lease, so that whatever keeps a store alive keeps none of those. */
export interface Task {
  /** The one it was begun in. */
  readonly parent: Task | undefined;
}

export interface TaskContext {
  /** Runs `work` outside every borrower's context: sockets and timers are made in here (DESIGN B17). */
  detached<T>(work: () => T): T;
  /** What runs `work` in the context that is current now, whenever and by whomever it is called. Left out: `work` itself. */
  bound?(work: () => void): () => void;
  /** The task that is asking, or undefined outside all tasks. */
  current(): Task | undefined;
  /** Whether the task that is asking already holds a lease of this process; such a one may still borrow while a pool closes. */
  holdsLease(): boolean;
  /**
   * Somebody waits while everything is lent: from now on it matters who does so inside which task. Before Node 24 following that costs every
   * `await` of the process, so it may begin only here.
   */
  matters(): void;
}

/** The inert part: no tasks are known, and work runs where it stands. */
export const noTasks: TaskContext = {
  detached: (work) => work(),
  current: () => undefined,
  holdsLease: () => false,
  matters: () => {},
};
