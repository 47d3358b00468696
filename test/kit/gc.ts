// The garbage collector, on demand, in a process that was started without a flag for it.

import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const found: unknown = runInNewContext('gc');

/** Collects everything that nobody has. */
export function collect(): void {
  assert.ok(typeof found === 'function');
  Reflect.apply(found, undefined, []);
}

/**
 * Collects, and lets finalizers run: twice, since what one of them lets go may be what the next waits for. `turn` lets the event loop turn
 * once: what was looked at before is kept until then.
 */
export async function collected(turn: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < 2; n += 1) {
    await turn();
    collect();
    await turn();
  }
}
