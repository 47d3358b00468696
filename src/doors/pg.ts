// `oxbow/pg`: pg's namespace with its pool swapped, for libraries that take a pg-shaped module. Owns only the swap: everything else is
// pg's own, also what is set through it (`defaults`), and its types, by name or behind the default import.

import type * as shapes from 'pg';
import pg from 'pg';
import { type Deviation, deviations } from '../pool/deviations.ts';
import { PgPool } from '../pool/pg-pool.ts';

export type {
  BindConfig,
  ClientBase,
  ClientConfig,
  ConnectionConfig,
  CustomTypesConfig,
  Defaults,
  Events,
  ExecuteConfig,
  FieldDef,
  MessageConfig,
  Notification,
  PoolClient,
  PoolConfig,
  PoolOptions,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryParse,
  QueryResult,
  QueryResultBase,
  QueryResultRow,
  ResultBuilder,
  Submittable,
  TransactionStatus,
} from 'pg';

export { type Deviation, deviations, PgPool as Pool };
export const Client: typeof pg.Client = pg.Client;
export type Client = shapes.Client;
export const Query: typeof pg.Query = pg.Query;
export type Query<R extends shapes.QueryResultRow = Any, I extends Any[] = Any> = shapes.Query<R, I>;
export const types: typeof pg.types = pg.types;
export const defaults: typeof pg.defaults = pg.defaults;
export const DatabaseError: typeof pg.DatabaseError = pg.DatabaseError;
export type DatabaseError = shapes.DatabaseError;
export const Connection: typeof pg.Connection = pg.Connection;
export type Connection = shapes.Connection;
export const Result: typeof pg.Result = pg.Result;
export type Result<R extends shapes.QueryResultRow = Any> = shapes.Result<R>;
export const TypeOverrides: typeof pg.TypeOverrides = pg.TypeOverrides;
export type TypeOverrides = shapes.TypeOverrides;
export const escapeIdentifier: typeof pg.escapeIdentifier = pg.escapeIdentifier;
export const escapeLiteral: typeof pg.escapeLiteral = pg.escapeLiteral;
/** There is no native variant, and libraries that would swap to one must not. */
export const native: null = null;

/** The default of pg's type parameters. */
type Any = shapes.QueryResultRow[string];

/** The same as one object, as `import pg from 'pg'` gives it. */
const namespace: Omit<typeof pg, 'Pool' | 'native'> & { Pool: typeof PgPool; native: null } = Object.create(pg, {
  Pool: { value: PgPool, enumerable: true, configurable: true, writable: true },
  native: { value: null, enumerable: true, configurable: true },
});

/** Its types, as in `pg.PoolClient`: nothing of this is left at run time. */
declare namespace namespace {
  type Pool = PgPool;
  type BindConfig = shapes.BindConfig;
  type Client = shapes.Client;
  type ClientBase = shapes.ClientBase;
  type ClientConfig = shapes.ClientConfig;
  type Connection = shapes.Connection;
  type ConnectionConfig = shapes.ConnectionConfig;
  type CustomTypesConfig = shapes.CustomTypesConfig;
  type DatabaseError = shapes.DatabaseError;
  type Defaults = shapes.Defaults;
  type Events = shapes.Events;
  type ExecuteConfig = shapes.ExecuteConfig;
  type FieldDef = shapes.FieldDef;
  type MessageConfig = shapes.MessageConfig;
  type Notification = shapes.Notification;
  type PoolClient = shapes.PoolClient;
  type PoolConfig = shapes.PoolConfig;
  type PoolOptions = shapes.PoolOptions;
  type Query<R extends shapes.QueryResultRow = Any, I extends Any[] = Any> = shapes.Query<R, I>;
  type QueryArrayConfig<I = Any[]> = shapes.QueryArrayConfig<I>;
  type QueryArrayResult<R extends Any[] = Any[]> = shapes.QueryArrayResult<R>;
  type QueryConfig<I = Any[]> = shapes.QueryConfig<I>;
  type QueryConfigValues<T> = shapes.QueryConfigValues<T>;
  type QueryParse = shapes.QueryParse;
  type QueryResult<R extends shapes.QueryResultRow = Any> = shapes.QueryResult<R>;
  type QueryResultBase = shapes.QueryResultBase;
  type QueryResultRow = shapes.QueryResultRow;
  type Result<R extends shapes.QueryResultRow = Any> = shapes.Result<R>;
  type ResultBuilder<R extends shapes.QueryResultRow = Any> = shapes.ResultBuilder<R>;
  type Submittable = shapes.Submittable;
  type TransactionStatus = shapes.TransactionStatus;
  type TypeOverrides = shapes.TypeOverrides;
}

export default namespace;
