// `oxbow/pg`: pg's namespace with its pool swapped, for libraries that take a pg-shaped module. Owns only the swap: everything else is
// pg's own, also what is set through it (`defaults`).

import pg from 'pg';
import { type Deviation, deviations } from '../pool/deviations.ts';
import { PgPool } from '../pool/pg-pool.ts';

export { type Deviation, deviations, PgPool as Pool };
export const Client: typeof pg.Client = pg.Client;
export const Query: typeof pg.Query = pg.Query;
export const types: typeof pg.types = pg.types;
export const defaults: typeof pg.defaults = pg.defaults;
export const DatabaseError: typeof pg.DatabaseError = pg.DatabaseError;
export const Connection: typeof pg.Connection = pg.Connection;
export const Result: typeof pg.Result = pg.Result;
export const TypeOverrides: typeof pg.TypeOverrides = pg.TypeOverrides;
export const escapeIdentifier: typeof pg.escapeIdentifier = pg.escapeIdentifier;
export const escapeLiteral: typeof pg.escapeLiteral = pg.escapeLiteral;
/** There is no native variant, and libraries that would swap to one must not. */
export const native: null = null;

/** The same as one object, as `import pg from 'pg'` gives it. */
const namespace: Omit<typeof pg, 'Pool' | 'native'> & { Pool: typeof PgPool; native: null } = Object.create(pg, {
  Pool: { value: PgPool, enumerable: true, configurable: true, writable: true },
  native: { value: null, enumerable: true, configurable: true },
});

export default namespace;
