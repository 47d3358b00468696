// Every key that node-postgres is known to read from the object it is given. Data only.
// A key on this list is never taken for a misspelt option of ours. That the list is whole is tested against the installed pg.

const FROM_CLIENT = [
  'user',
  'database',
  'password',
  'port',
  'host',
  'connectionString',
  'connection',
  'keepAlive',
  'keepAliveInitialDelayMillis',
  'stream',
  'ssl',
  'sslnegotiation',
  'sslNegotiation',
  'enableChannelBinding',
  'scramMaxIterations',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
  'connectionTimeoutMillis',
  'connect_timeout',
  'keepalives',
  'keepalives_idle',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'encoding',
  'options',
  'types',
  'binary',
  'replication',
  'pipeline',
  'Promise',
  'isDomainSocket',
  'nativeConnectionString',
] as const;

const FROM_POOL = [
  'max',
  'min',
  'poolSize',
  'maxUses',
  'maxLifetimeSeconds',
  'idleTimeoutMillis',
  'allowExitOnIdle',
  'onConnect',
  'verify',
  'log',
  'Client',
  'Promise',
] as const;

/** Of `pg.defaults`, what configuration files still carry. */
const FROM_DEFAULTS = ['rows', 'parseInputDatesAsUTC', 'parseInt8', 'poolIdleTimeout', 'reapIntervalMillis'] as const;

/** What a connection string's query brings, and people then write as keys. */
const FROM_URL = [
  'db',
  'sslmode',
  'sslca',
  'sslcert',
  'sslkey',
  'sslrootcert',
  'uselibpqcompat',
  'useLibpqCompat',
] as const;

type PgKey =
  | (typeof FROM_CLIENT)[number]
  | (typeof FROM_POOL)[number]
  | (typeof FROM_DEFAULTS)[number]
  | (typeof FROM_URL)[number];

export const PG_KEYS: ReadonlySet<string> = new Set<PgKey>([
  ...FROM_CLIENT,
  ...FROM_POOL,
  ...FROM_DEFAULTS,
  ...FROM_URL,
]);
