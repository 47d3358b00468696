// One pool per key and process, whatever evaluates its module again: hot reload, a bundler's second copy, a test runner. Owns which of two
// pools stays; what counts as the same options stands elsewhere.

import { OptionError } from '../contracts/errors.ts';
import type { CloseReport } from '../contracts/snapshot.ts';
import { checkFunction } from './check-request.ts';
import { type Origin, originOf } from './origin.ts';
import type { Pool } from './pool.ts';
import { processRegistry } from './process-registry.ts';
import { sameOptions } from './same-options.ts';

/** A pool of whichever copy of this package. */
interface Found {
  readonly pool: Pool;
  readonly origin: Origin;
}

/**
 * The pool of this process under `key`. `create` is called each time and makes one, which costs nothing until it is used:
 *
 * - its options are those of the living pool, as they were written: the living pool is given back, and the new one dropped, with the
 *   listeners that `create` gave it. Functions are the same if their text is, whatever they close over; what pg reads from the
 *   environment is not compared;
 * - they changed: the new one is given back. The old one serves who waits, drains and closes in the background, and who then still holds
 *   a connection of it is reported as `OXBOW_LEASE_HELD`;
 * - there is none under this key, or it is closed: the new one.
 *
 * Copies of the package share the keys, so the pool may be of another copy's class, and no `instanceof` of this one's; copies of
 * different majors do not meet. Throws what `create` throws, and an `OptionError` for a key that is no text and for what is no pool.
 */
export function globalPool(key: string, create: () => Pool): Pool {
  if (typeof key !== 'string' || key === '') throw new OptionError('key', concealed(key), 'a text that is not empty');
  checkFunction('create', create);
  const fresh = made(create());
  const { keyed } = processRegistry();
  const living = recognised(keyed.get(key));
  if (living !== undefined && isLiving(living.pool)) {
    if (living.pool === fresh.pool) return living.pool;
    if (living.origin.kind === fresh.origin.kind && sameOptions(living.origin.given, fresh.origin.given)) {
      discard(fresh);
      return living.pool;
    }
  }
  fresh.origin.key = key;
  keyed.set(key, fresh.pool);
  if (living !== undefined && isLiving(living.pool)) replace(key, living.pool, fresh.origin);
  return fresh.pool;
}

function made(pool: unknown): Found {
  const found = recognised(pool);
  if (found === undefined) {
    const expected = "a function that returns a pool of this package's (and no promise of one)";
    throw new OptionError('create', concealed(pool), expected);
  }
  if (!isLiving(found.pool)) {
    throw new OptionError('create', {}, `a function that makes a pool; ${found.pool.name} is closed already`);
  }
  return found;
}

function recognised(pool: unknown): Found | undefined {
  const origin = originOf(pool);
  return origin === undefined || !isPool(pool) ? undefined : { pool, origin };
}

/** What is asked of it here; the brand says the rest. */
function isPool(value: unknown): value is Pool {
  return typeof Reflect.get(Object(value), 'close') === 'function';
}

function isLiving({ phase }: Pool): boolean {
  return phase !== 'closing' && phase !== 'closed';
}

/** It may be full of secrets. */
function concealed(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? {} : value;
}

/** Made in vain, unless somebody uses it already. */
function discard({ pool, origin }: Found): void {
  if (pool.phase !== 'created') return;
  origin.unname();
  void pool.close();
}

function replace(key: string, old: Pool, { report }: Origin): void {
  const told = (outcome: string, error?: unknown): void => {
    const message = `${old.name} was replaced as the pool "${key}", and ${outcome}`;
    report({ code: 'OXBOW_LEASE_HELD', message, error });
  };
  const judge = ({ cancelled, destroyed, stillHeld }: CloseReport): void => {
    if (cancelled + destroyed + stillHeld.length === 0) return;
    const held = stillHeld.map(({ id, label, site }) => label ?? site ?? `lease ${id}`);
    const who = held.length === 0 ? '' : `; still held: ${held.join(', ')}`;
    told(
      `did not drain in time: the statements of ${cancelled} connections were cancelled, ${destroyed} were cut${who}`,
    );
  };
  const closed = (async () => old.close({ waiting: 'serve' }))();
  closed.then(judge).catch((error: unknown) => told('could not be closed', error));
}
