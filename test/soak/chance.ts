// Chance that can be repeated: a stream of numbers from a seed and a path ("task 17, request 4"). Streams with different paths do
// not disturb each other, so what one task draws does not depend on how fast the others were.

/** FNV-1a: names into 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let n = 0; n < text.length; n += 1) h = Math.imul(h ^ text.charCodeAt(n), 0x01000193);
  return h >>> 0;
}

export class Chance {
  #state: number;

  constructor(seed: number, ...path: readonly (string | number)[]) {
    this.#state = hash([seed, ...path].join('/'));
  }

  /** From 0 to below 1 (splitmix32). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `low` to below `high`. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low));
  }

  upTo(n: number): number {
    return this.between(0, n);
  }

  happens(part: number): boolean {
    return this.next() < part;
  }

  pick<T>(list: readonly T[]): T {
    const one = list[this.upTo(list.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }

  /** One of the names, each as often as its weight says. */
  weighted<N extends string>(weights: ReadonlyMap<N, number>): N {
    const sum = [...weights.values()].reduce((total, weight) => total + weight, 0);
    let rest = this.next() * sum;
    let last: N | undefined;
    for (const [name, weight] of weights) {
      last = name;
      rest -= weight;
      if (rest < 0) break;
    }
    if (last === undefined) throw new Error('nothing to pick from');
    return last;
  }
}
