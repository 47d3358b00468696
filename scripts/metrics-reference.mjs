// node scripts/metrics-reference.mjs [--stdout]
// Writes docs/reference/metrics.md from the built catalogue of metrics. Owns the words between, and how other pools call the same things.
// Run `npm run build` first.

import { writeFileSync } from 'node:fs';
import { BUCKETS, LIMIT_ALIAS, METRICS, POOL_NAME } from '../dist/telemetry/metrics.js';
import { familyName, labelName } from '../dist/telemetry/prometheus-families.js';

/** HikariCP by Micrometer, pgxpool's `Stat`, psycopg_pool's `get_stats()`, the exporters of `pg_pool_*` for pg's own pool. */
const DIALECTS = {
  'db.client.connection.count': [
    '`hikaricp_connections`, `_active`, `_idle`',
    '`total_conns`, `acquired_conns`, `idle_conns`',
    '`pool_size`, `pool_available`',
    '`pg_pool_size`, `pg_pool_active_connections`',
  ],
  'db.client.connection.idle.min': ['`hikaricp_connections_min`', '', '`pool_min`', ''],
  'db.client.connection.limit': ['`hikaricp_connections_max`', '`max_conns`', '`pool_max`', ''],
  'db.client.connection.pending_requests': [
    '`hikaricp_connections_pending`',
    '',
    '`requests_waiting`',
    '`pg_pool_waiting_connections`',
  ],
  'db.client.connection.timeouts': ['`hikaricp_connections_timeout_total`', '`canceled_acquire_count`', '', ''],
  'db.client.connection.create_time': [
    '`hikaricp_connections_creation_seconds`',
    '`new_conns_count` (its count)',
    '`connections_num`, `connections_ms`',
    '',
  ],
  'db.client.connection.wait_time': [
    '`hikaricp_connections_acquire_seconds`',
    '`acquire_count`, `acquire_duration`, `empty_acquire_count`',
    '`requests_num`, `requests_queued`, `requests_wait_ms`',
    '',
  ],
  'db.client.connection.use_time': ['`hikaricp_connections_usage_seconds`', '', '`usage_ms`', ''],
  'oxbow.request.refused': ['', '', '`requests_errors`', ''],
  'oxbow.connection.opening': ['', '`constructing_conns`', '', ''],
  'oxbow.connection.failed': ['', '', '`connections_errors`', '`pg_pool_errors_total`'],
  'oxbow.connection.lost': ['', '', '`connections_lost`', '`pg_pool_errors_total`'],
  'oxbow.connection.retired': ['', '`max_lifetime_destroy_count`, `max_idle_destroy_count`', '', ''],
  'oxbow.lease.returned': ['', '', '`returns_bad` (`condemned`)', ''],
};

const names = new Set(METRICS.map(({ name }) => name));
for (const name of Object.keys(DIALECTS)) if (!names.has(name)) throw new Error(`no metric is called ${name}`);

function row({ name, instrument, unit, description, attribute, source, ...rest }) {
  const values = attribute?.values?.map((value) => `\`${value}\``).join(', ') ?? 'those that have occurred';
  const by = attribute === undefined ? '' : `\`${attribute.key}\`: ${values}`;
  const series = familyName({ name, instrument, unit, ...rest });
  return `| \`${name}\` | ${instrument}, \`${unit}\` | ${by} | \`${series}\` | ${description} | ${source} |`;
}

const HEAD = `| metric | instrument, unit | attribute | Prometheus | what | from |
| --- | --- | --- | --- | --- | --- |`;

const text = `<!-- Made by scripts/metrics-reference.mjs. -->
# What is measured

What a pool tells OpenTelemetry through \`measurePool\` of \`oxbow/otel\`, and Prometheus through \`collectPool\` and \`renderText\` of
\`oxbow/prometheus\`: one catalogue, \`src/telemetry/metrics.ts\`. Programs: [the recipe](../recipes/metrics.md). A dashboard for Grafana and
four alerts are in the package, \`observability/grafana-dashboard.json\` and \`observability/alerts.yml\`.

## Rules

- Names, units and buckets are those of OpenTelemetry's semantic conventions 1.45; what these do not have is ours, under \`oxbow.\`. The
  series of Prometheus are named as OpenTelemetry's translation names them, so that a dashboard does for both.
- Every metric has the attribute \`${POOL_NAME}\` (in Prometheus the label \`${labelName(POOL_NAME)}\`), the pool's \`name\`.
  Pools of one name are told as one: counts are added, of a gauge the largest is told. Give pools names.
- Every value of an attribute is told from the beginning, at 0, unless it says otherwise; so the first one is a rise that an alert sees.
- Counters count from the call on that measures the pool, and never go down. They are counted from the pool's events: \`popStats()\`
  of somebody else takes nothing from them. But what is read from \`stats()\` (\`oxbow.query.spoken\`, \`oxbow.lease.leaked\`,
  \`oxbow.lease.reclaimed\`) lacks what came between the last reading and a \`popStats()\`.
- Gauges are read when somebody collects, and cost nothing before. Counters and histograms cost a call for each lend and return, from the
  call on that measures the pool until its undo.
- Buckets of the histograms, in seconds: ${BUCKETS.join(', ')}.
- A pool that was closed is told until the undo is called. After it Prometheus finds no series of the pool. OpenTelemetry's SDK would go on
  with what it heard last, so it is told once more that everything but counters is 0; counters, histograms and
  \`oxbow.connection.last_failure_age\` stay as they are.

## Metrics

${HEAD}
${[...METRICS.filter(({ name }) => name.startsWith('db.')), ...METRICS.filter(({ name }) => !name.startsWith('db.'))]
  .map(row)
  .join('\n')}

With \`limitAlias: true\` of \`measurePool\` also, for dashboards that have not moved:

${HEAD}
${row(LIMIT_ALIAS)}

The duration of queries, \`db.client.operation.duration\`, is left to \`@opentelemetry/instrumentation-pg\`, which works with these pools.

## As others call it

| metric | HikariCP (Micrometer) | pgxpool | psycopg_pool | \`pg_pool_*\` |
| --- | --- | --- | --- | --- |
${Object.entries(DIALECTS)
  .map(([name, dialects]) => `| \`${name}\` | ${dialects.map((said) => said || '–').join(' | ')} |`)
  .join('\n')}
`;

if (process.argv.includes('--stdout')) process.stdout.write(text);
else writeFileSync(new URL('../docs/reference/metrics.md', import.meta.url), text);
