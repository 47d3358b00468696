// One thing for each key, made for the first who takes it and stopped with the last who lets it go. Owns the counting; does not keep a key alive.

export interface Stoppable {
  stop(): void;
}

interface Kept<T> {
  readonly what: T;
  takers: number;
}

export class Shared<K extends object, T extends Stoppable> {
  readonly #kept = new WeakMap<K, Kept<T>>();

  /** `release` may be called more than once; only the first call counts. */
  take(key: K, make: () => T): { what: T; release: () => void } {
    const kept = this.#kept.get(key) ?? { what: make(), takers: 0 };
    this.#kept.set(key, kept);
    kept.takers += 1;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      kept.takers -= 1;
      if (kept.takers > 0) return;
      this.#kept.delete(key);
      kept.what.stop();
    };
    return { what: kept.what, release };
  }
}
