// What every pool must be able to do to take part. The methods are the pools' own, with nothing in between that costs a promise.

import type { Lendable } from './connection.ts';

export interface Contestant<H = unknown> {
  acquire(): Promise<H>;
  connectionOf(held: H): Lendable;
  release(held: H): void;
  /** Every connection that was ever opened. */
  readonly connections: readonly Lendable[];
}

export const MAX = 10;

/** Opens all connections, as every pool does it for itself. */
export async function warm<H>(contestant: Contestant<H>): Promise<void> {
  const held: H[] = [];
  for (let count = 0; count < MAX; count += 1) held.push(await contestant.acquire());
  for (const one of held) contestant.release(one);
}
