// A pool that keeps nothing: for a database behind a server-side pooler, which keeps the connections. Owns what that means for the
// options; the rest is the pool.

import { OptionError } from '../contracts/errors.ts';
import type { PoolOptions } from './options.ts';
import { Pool } from './pool.ts';
import type { Face } from './share.ts';

/**
 * The same interface; a returned connection goes to a waiter if there is one, else it is closed. `open()` proves a connection and
 * closes it. `min` must be 0; `max` still bounds the open sockets, and connects run in parallel. An idle timeout, by our name or pg's, has
 * no meaning here and is passed over: one set of options serves both kinds of pool.
 */
export class NullPool extends Pool {
  protected static override readonly face: Face = 'null';

  static {
    Object.defineProperty(NullPool, 'name', { value: 'NullPool', configurable: true });
  }

  constructor(options: PoolOptions | string = {}) {
    const given: PoolOptions = typeof options === 'string' ? { connectionString: options } : options;
    const min = Number(given.min ?? 0);
    if (min !== 0) throw new OptionError('min', given.min, '0: a NullPool keeps no connection');
    const { idleTimeoutMs: _own, idleTimeoutMillis: _pgs, ...rest } = given;
    super({ connectConcurrency: 10_000, ...rest, idleTimeoutMs: 0 });
  }

  override resize(sizes: { min?: number; max?: number }): void {
    if (sizes.min !== undefined && sizes.min !== 0)
      throw new OptionError('min', sizes.min, '0: a NullPool keeps no connection');
    super.resize(sizes);
  }
}
