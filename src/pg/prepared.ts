// Which texts one connection has prepared by itself. Owns their number: one more, and the one that was not used for longest is forgotten,
// here and on the server. Whether the server knows a name is pg's to note.

import type { Text } from './texts.ts';

/** psycopg's default, `prepared_max`. */
const PREPARED_MAX = 100;

export class Prepared {
  /** When each was used last, in statements. */
  readonly #used = new Map<Text, number>();
  #now = 0;

  get names(): string[] {
    return [...this.#used.keys()].flatMap(({ name }) => name ?? []);
  }

  /** It is prepared now; returns the name that makes room for it. */
  add(text: Text): string | undefined {
    const forgotten = this.#used.has(text) || this.#used.size < PREPARED_MAX ? undefined : this.#oldest();
    if (forgotten !== undefined) this.#used.delete(forgotten);
    this.touch(text);
    return forgotten?.name;
  }

  /** It is used again. */
  touch(text: Text): void {
    this.#now += 1;
    this.#used.set(text, this.#now);
  }

  #oldest(): Text | undefined {
    let oldest: Text | undefined;
    let when = Infinity;
    for (const [text, used] of this.#used) {
      if (used >= when) continue;
      oldest = text;
      when = used;
    }
    return oldest;
  }
}
