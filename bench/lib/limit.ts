// The physical limit of any pool that answers with a promise: a stack of connections, a ring of waiters, one promise a request.
// It checks nothing, counts nothing and has no deadline.

import { systemClock } from '../../src/foundation/system-clock.ts';
import { FakeConnection, type Lendable } from './connection.ts';
import { type Contestant, MAX } from './contestant.ts';

type Resolve = (connection: FakeConnection) => void;

export class Limit implements Contestant<FakeConnection> {
  readonly connections: readonly FakeConnection[] = Array.from({ length: MAX }, () => new FakeConnection());
  readonly #idle: FakeConnection[] = [...this.connections];
  #ring: (Resolve | undefined)[] = new Array(1_024);
  #head = 0;
  #tail = 0;

  acquire(): Promise<FakeConnection> {
    const connection = this.#idle.pop();
    if (connection !== undefined) return Promise.resolve(connection);
    return new Promise((resolve) => this.#enqueue(resolve));
  }

  connectionOf(connection: FakeConnection): Lendable {
    return connection;
  }

  release(connection: FakeConnection): void {
    if (this.#head === this.#tail) {
      this.#idle.push(connection);
      return;
    }
    const at = this.#head & (this.#ring.length - 1);
    this.#head += 1;
    const resolve = this.#ring[at];
    this.#ring[at] = undefined;
    resolve?.(connection);
  }

  #enqueue(resolve: Resolve): void {
    const ring = this.#ring;
    if (this.#tail - this.#head === ring.length) {
      const wider: (Resolve | undefined)[] = new Array(ring.length * 2);
      for (let at = this.#head; at < this.#tail; at += 1) wider[at & (wider.length - 1)] = ring[at & (ring.length - 1)];
      this.#ring = wider;
    }
    this.#ring[this.#tail & (this.#ring.length - 1)] = resolve;
    this.#tail += 1;
  }
}

/** The same, but the clock is looked at when a connection is asked for and when it comes back: whoever has deadlines, or knows how long each was out, does. */
export class ClockedLimit extends Limit {
  askedAt = 0;
  backAt = 0;

  override acquire(): Promise<FakeConnection> {
    this.askedAt = systemClock.now();
    return super.acquire();
  }

  override release(connection: FakeConnection): void {
    this.backAt = systemClock.now();
    super.release(connection);
  }
}
