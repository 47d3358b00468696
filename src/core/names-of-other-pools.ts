// Names under which other pools and drivers know what we, or pg, call otherwise. Data only: no client reads them, so passed on they
// would be ignored in silence, and the pool would connect somewhere else or be of another size (docs/decisions/012).

/** What was written, and what is meant by it. */
export const NAMES_OF_OTHER_POOLS: Readonly<Record<string, string>> = {
  url: 'connectionString', // TypeORM, Bun's SQL
  uri: 'connectionString', // libpq's documentation, mysql2
  databaseUrl: 'connectionString', // the variable DATABASE_URL
  hostname: 'host', // Bun's SQL, Deno's postgres
  username: 'user', // TypeORM, Sequelize, Bun's SQL
  dbname: 'database', // libpq
  dbName: 'database', // MikroORM
  connectionTimeoutMs: 'acquireTimeoutMs', // pg's connectionTimeoutMillis with our unit
  connectionTimeout: 'acquireTimeoutMs', // HikariCP, Slonik
  acquireTimeoutMillis: 'acquireTimeoutMs', // generic-pool, tarn (Knex)
  acquireTimeout: 'acquireTimeoutMs', // mysql, mariadb
  maxConnections: 'max', // SQLx
  maxSize: 'max', // psycopg, asyncpg, R2DBC
  maxPoolSize: 'max', // MongoDB
  connectionLimit: 'max', // mysql, mysql2, mariadb
  minConnections: 'min', // SQLx
  minSize: 'min', // psycopg, asyncpg
  minPoolSize: 'min', // MongoDB
};
