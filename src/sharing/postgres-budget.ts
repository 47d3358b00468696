// One limit for pools in any number of processes and machines, which PostgreSQL itself coordinates. Owns its options; the rules are in
// fleet-permits.

import { OptionError } from '../contracts/errors.ts';
import type { Budget, Member, Permits } from '../contracts/permits.ts';
import { FleetPermits, type FleetTerms } from './fleet-permits.ts';

export interface PostgresBudgetOptions {
  /** How many sessions all members together have, at most; from 1 to 10 000. All members must say the same. */
  readonly limit: number;
  /** Which budget it is: pools with the same key in the same database share. From 1 to 200 characters. */
  readonly key: string;
  /** How many of them a member is promised as far as it needs them, if the limit does for the floors of all. Default 0. */
  readonly floor?: number | undefined;
}

class PostgresBudget implements Budget {
  readonly #terms: FleetTerms;

  constructor(terms: FleetTerms) {
    this.#terms = terms;
  }

  /** Who states the same in a module that is evaluated anew means the same budget. */
  get terms(): string {
    const { limit, key, floor } = this.#terms;
    return JSON.stringify(['fleet', key, limit, floor]);
  }

  join(member: Member): Permits {
    return new FleetPermits(this.#terms, member);
  }
}

function whole(option: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new OptionError(option, value, `a whole number from ${least} to ${most}`);
}

/**
 * A budget for the option `budget`, the same in each process: all pools with this `key` together have at most `limit` sessions, and divide
 * them fairly. Does no I/O. Each session takes an advisory lock on its own connection; a pool that has too few keeps one more session, which
 * seeks. Needs server sessions of its own: behind a pooler connecting fails with a `ConnectError` that says so, unless the pool's option
 * `pooler` is `'session'`. Throws `OptionError`.
 */
export function postgresBudget(options: PostgresBudgetOptions): Budget {
  if (typeof options !== 'object' || options === null)
    throw new OptionError('options', options, 'an object with limit and key');
  const limit = whole('limit', options.limit, 1, 10_000);
  const floor = whole('floor', options.floor ?? 0, 0, limit);
  const { key } = options;
  if (typeof key !== 'string' || key === '' || key.length > 200)
    throw new OptionError('key', key, 'a text of 1 to 200 characters');
  return new PostgresBudget({ limit, key, floor });
}
