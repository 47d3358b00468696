// What is lent in a benchmark without a database: it only notes who has it, so that every contestant's lending is checked while it
// is timed.

export interface Lendable {
  busy: boolean;
  served: number;
}

/** A borrower begins; two at a time are a broken pool, not a fast one. */
export function take(connection: Lendable): void {
  if (connection.busy) throw new Error('one connection was lent to two borrowers');
  connection.busy = true;
  connection.served += 1;
}

export function give(connection: Lendable): void {
  connection.busy = false;
}

/** Everything that was asked for was served, and everything came back. */
export function mustAddUp(connections: readonly Lendable[], expected: number, max: number): void {
  // Of those that ever were: a pool left alone between two rounds may have closed its idle ones and opened others.
  const used = connections.filter(({ served }) => served > 0).length;
  if (used > max) throw new Error(`${used} connections in one round, allowed were ${max}`);
  const served = connections.reduce((sum, { served }) => sum + served, 0);
  if (served !== expected) throw new Error(`${expected} borrowed, but the connections were lent ${served} times`);
  if (connections.some(({ busy }) => busy)) throw new Error('a connection did not come back');
}

export class FakeConnection implements Lendable {
  busy = false;
  served = 0;
}
