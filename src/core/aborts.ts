// Who leaves when a signal aborts. Owns one listener per signal, however many wait under it: a request that asks for many
// connections must not make Node warn of a leak, and thousands abort in one call.

interface Watch<W> {
  readonly waiters: Set<W>;
  readonly listener: () => void;
}

export class Aborts<W> {
  readonly #watches = new Map<AbortSignal, Watch<W>>();
  readonly #aborted: (waiter: W, reason: unknown) => void;

  /** `aborted` must make the waiter be forgotten. */
  constructor(aborted: (waiter: W, reason: unknown) => void) {
    this.#aborted = aborted;
  }

  /** The signal has not aborted yet. */
  watch(signal: AbortSignal, waiter: W): void {
    let watch = this.#watches.get(signal);
    if (watch === undefined) {
      const waiters = new Set<W>();
      const listener = (): void => {
        for (const waiting of waiters) this.#aborted(waiting, signal.reason);
      };
      watch = { waiters, listener };
      this.#watches.set(signal, watch);
      signal.addEventListener('abort', listener);
    }
    watch.waiters.add(waiter);
  }

  forget(signal: AbortSignal, waiter: W): void {
    const watch = this.#watches.get(signal);
    if (watch === undefined) return;
    watch.waiters.delete(waiter);
    if (watch.waiters.size > 0) return;
    this.#watches.delete(signal);
    signal.removeEventListener('abort', watch.listener);
  }
}
