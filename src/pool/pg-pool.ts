// The pool of `oxbow/pg`: the same, with pg's defaults and manners. Owns nothing but the choice of them.

import type pg from 'pg';
import type { Personality } from '../core/option-table.ts';
import type { ClientClass } from '../pg/shapes.ts';
import type { PoolOptions } from './options.ts';
import { Pool } from './pool.ts';
import type { Face } from './share.ts';

/** A drop-in for `pg.Pool`: pg's defaults, pg's texts in front, `end()` serves who waits. */
export class PgPool extends Pool {
  protected static override readonly personality: Personality = 'pg';
  protected static override readonly face: Face = 'pg';

  static {
    Object.defineProperty(PgPool, 'name', { value: 'Pool', configurable: true });
  }

  /** `Client` as pg's pool takes it: another class to make connections of. */
  constructor(options?: PoolOptions | string, Client?: new (config?: pg.ClientConfig) => pg.Client) {
    super(Client === undefined ? options : withClient(options, Client));
  }
}

/** An option of that name wins over the argument, as in pg. */
function withClient(options: PoolOptions | string | undefined, Client: unknown): PoolOptions {
  const given: PoolOptions = typeof options === 'string' ? { connectionString: options } : { ...options };
  return Object.assign({ Client: Client as ClientClass }, given);
}
