// The catalogue of metrics, its reference, OpenTelemetry's conventions, the dashboard and the alerts say the same.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { EVENTS } from '../../src/pool/observers.ts';
import { LIMIT_ALIAS, METRICS, type Metric, POOL_NAME } from '../../src/telemetry/metrics.ts';
import { familyName, labelName } from '../../src/telemetry/prometheus-families.ts';
import { rows, section, ticked } from './document.ts';
import { namedIn } from './promql.ts';
import { read, root, shipped } from './tree.ts';

const ALL = [...METRICS, LIMIT_ALIAS];
const sorted = (names: readonly string[]): string[] => [...names].sort();

// The reference

const document = read('docs/reference/metrics.md');

/** As a reader sees a row: what is in backticks, cell by cell. */
const cellsOf = (metric: Metric): readonly (readonly string[])[] => [
  [metric.name],
  [metric.unit],
  metric.attribute === undefined ? [] : [metric.attribute.key, ...(metric.attribute.values ?? [])],
  [familyName(metric)],
];

test('docs/reference/metrics.md is what its script makes of the catalogue', () => {
  const script = join(root, 'scripts/metrics-reference.mjs');
  const made = spawnSync(process.execPath, [script, '--stdout'], { encoding: 'utf8' });
  assert.equal(made.stderr, '');
  assert.equal(document, made.stdout, 'run `npm run build && node scripts/metrics-reference.mjs`');
});

test('the tables of the reference have a row for each metric of the catalogue, with its unit, values and series, and no other', () => {
  const table = rows(section(document, 'Metrics')).map((cells) => cells.slice(0, 4).map(ticked));
  const byName = (one: readonly (readonly string[])[], other: readonly (readonly string[])[]): number =>
    String(one[0]) < String(other[0]) ? -1 : 1;
  assert.deepEqual(table.sort(byName), ALL.map(cellsOf).sort(byName));
});

test('what the catalogue says of its sources are events and figures that there are', () => {
  const known = /^(?:snapshot\(\)(?:\.\w+)?|stats\(\)(?:\.\w+)?)$/;
  const words = 'idle lent returning limit used ms waitedMs heldMs timeout queriesByCodec queriesByPg'.split(' ');
  for (const { name, source } of ALL)
    for (const word of ticked(source))
      assert.ok(known.test(word) || EVENTS.includes(word) || words.includes(word), `${name}: ${word}`);
});

// The conventions

interface Convention {
  readonly unit: string;
  readonly instrument: string;
}

const CONVENTIONAL: Readonly<Record<string, Convention>> = {
  METRIC_DB_CLIENT_CONNECTION_COUNT: { unit: '{connection}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_IDLE_MAX: { unit: '{connection}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_IDLE_MIN: { unit: '{connection}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_LIMIT: { unit: '{connection}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_MAX: { unit: '{connection}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_PENDING_REQUESTS: { unit: '{request}', instrument: 'updowncounter' },
  METRIC_DB_CLIENT_CONNECTION_TIMEOUTS: { unit: '{timeout}', instrument: 'counter' },
  METRIC_DB_CLIENT_CONNECTION_CREATE_TIME: { unit: 's', instrument: 'histogram' },
  METRIC_DB_CLIENT_CONNECTION_WAIT_TIME: { unit: 's', instrument: 'histogram' },
  METRIC_DB_CLIENT_CONNECTION_USE_TIME: { unit: 's', instrument: 'histogram' },
};

test('each metric of the pool that the conventions know is in the catalogue under their name, unit and instrument; all others are ours by name', () => {
  const names: Readonly<Record<string, unknown>> = conventions;
  const theirs = sorted(Object.keys(names).filter((key) => key.startsWith('METRIC_DB_CLIENT_CONNECTION_')));
  assert.deepEqual(theirs, sorted(Object.keys(CONVENTIONAL)));
  const wanted = theirs.map((key) => ({ name: String(names[key]), ...CONVENTIONAL[key] }));
  const conventional = ALL.filter(({ name }) => !name.startsWith('oxbow.'));
  const ours = conventional.map(({ name, unit, instrument }) => ({ name, unit, instrument }));
  const byName = (one: { name: string }, other: { name: string }): number => one.name.localeCompare(other.name);
  assert.deepEqual(ours.sort(byName), wanted.sort(byName));
  assert.equal(names.ATTR_DB_CLIENT_CONNECTION_POOL_NAME, POOL_NAME);
  const count = METRICS.find(({ name }) => name === names.METRIC_DB_CLIENT_CONNECTION_COUNT);
  assert.deepEqual(count?.attribute, {
    key: names.ATTR_DB_CLIENT_CONNECTION_STATE,
    values: [names.DB_CLIENT_CONNECTION_STATE_VALUE_IDLE, names.DB_CLIENT_CONNECTION_STATE_VALUE_USED],
  });
});

test('no two metrics have one name, and no two one series', () => {
  for (const names of [ALL.map(({ name }) => name), ALL.map(familyName)]) assert.equal(new Set(names).size, ALL.length);
  for (const name of ALL.map(familyName)) assert.match(name, /^(?:db_client_connection|oxbow)_[a-z_]+$/);
});

// The doors

/** Packages that a built file imports, by itself or by what it imports. */
function packagesOf(path: string, seen: Set<string> = new Set()): ReadonlySet<string> {
  const found = new Set<string>();
  if (seen.has(path)) return found;
  seen.add(path);
  for (const [, from = ''] of read(path).matchAll(/^(?:import|export)\b(?:[^;'"]*?\bfrom )?\s*'([^']+)'/gm)) {
    if (!from.startsWith('.')) found.add(from);
    else for (const name of packagesOf(new URL(from, `file:///${path}`).pathname.slice(1), seen)) found.add(name);
  }
  return found;
}

test('OpenTelemetry is loaded by oxbow/otel alone, which loads nothing else but Node; oxbow/prometheus loads nothing', () => {
  const doors = shipped('doors').map(({ path }) => path);
  const loading = doors.filter((path) => packagesOf(path).has('@opentelemetry/api'));
  assert.deepEqual(loading, ['dist/doors/otel.js']);
  const others = [...packagesOf('dist/doors/otel.js')].filter((name) => !name.startsWith('node:'));
  assert.deepEqual(others, ['@opentelemetry/api']);
  assert.deepEqual([...packagesOf('dist/doors/prometheus.js')], []);
  assert.ok(packagesOf('dist/doors/index.js').has('pg'), 'it is seen what is loaded');
});

// The dashboard and the alerts

/** Prometheus gives it to whatever it scrapes. */
const TARGETS = 'instance';
const FUNCTIONS = ['sum', 'max', 'rate', 'increase', 'histogram_quantile'];

interface Told {
  readonly series: ReadonlyMap<string, readonly string[]>;
  readonly labels: ReadonlySet<string>;
}

/** Every series that a scrape can have, with its labels. */
function toldBy(metrics: readonly Metric[]): Told {
  const series = new Map<string, readonly string[]>();
  for (const metric of metrics) {
    const labels = [POOL_NAME, ...(metric.attribute === undefined ? [] : [metric.attribute.key])].map(labelName);
    const name = familyName(metric);
    if (metric.instrument === 'histogram') {
      series.set(`${name}_bucket`, [...labels, 'le']);
      for (const part of ['_sum', '_count']) series.set(name + part, labels);
    } else series.set(name, labels);
  }
  return { series, labels: new Set([...series.values()].flat()) };
}

const told = toldBy(METRICS);

/** What an expression names that is not told. */
function slips(expression: string): string[] {
  const { series, grouped, functions } = namedIn(expression);
  const known = new Set([TARGETS, ...series.flatMap(({ name }) => told.series.get(name) ?? [])]);
  return [
    ...series.flatMap(({ name, labels }) => {
      const has = told.series.get(name);
      if (has === undefined) return [`series ${name}`];
      return labels.filter((label) => !has.includes(label)).map((label) => `label ${label} of ${name}`);
    }),
    ...grouped.filter((label) => !known.has(label)).map((label) => `label ${label}`),
    ...functions.filter((name) => !FUNCTIONS.includes(name)).map((name) => `function ${name}`),
    ...(series.length === 0 ? ['no series'] : []),
  ];
}

/** The labels that a text shows as `{{label}}` or `{{ $labels.label }}`, if they are not kept by the expression. */
function unkept(text: string, expression: string): string[] {
  const shown = [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label = '']) => label);
  return shown.filter((label) => !namedIn(expression).grouped.includes(label));
}

test('the law of expressions sees a series, a label and a function that nobody tells', () => {
  const pool = 'db_client_connection_pool_name';
  assert.deepEqual(slips(`sum by (${pool}) (rate(db_client_connection_timeouts_total{${pool}=~"a|b"}[5m])) > 0`), []);
  assert.deepEqual(slips('db_client_connection_timeouts > 0'), ['series db_client_connection_timeouts']);
  assert.deepEqual(slips('oxbow_server_down{le="1"}'), ['label le of oxbow_server_down']);
  assert.deepEqual(slips('sum by (oxbow_reason) (oxbow_server_down)'), ['label oxbow_reason']);
  assert.deepEqual(slips('avg(oxbow_server_down)'), ['function avg']);
  assert.deepEqual(slips('1 > 0'), ['no series']);
  assert.throws(() => slips('oxbow_server_down @ 5'), /cannot be read/);
  assert.deepEqual(unkept('{{a}} {{ $labels.b }}', 'sum by (a) (oxbow_server_down)'), ['b']);
});

type Json = Readonly<Record<string, unknown>>;
const objects = (value: unknown): Json[] => (Array.isArray(value) ? value.map((one) => Object(one)) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const dashboard: Json = Object(JSON.parse(read('observability/grafana-dashboard.json')));

test('each panel of the dashboard has a title, a unit, a description and expressions of what is told, and shows labels that they keep', () => {
  const panels = objects(dashboard.panels);
  assert.ok(panels.length > 10);
  for (const { title, description, fieldConfig, targets } of panels) {
    const name = text(title);
    assert.notEqual(name, '');
    assert.notEqual(text(description), '', name);
    assert.notEqual(text(Object(Object(fieldConfig).defaults).unit), '', name);
    assert.ok(objects(targets).length > 0, name);
    for (const { expr, legendFormat } of objects(targets)) {
      assert.deepEqual(slips(text(expr)), [], name);
      assert.deepEqual(unkept(text(legendFormat), text(expr)), [], name);
    }
  }
  assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
});

test('the variables of the dashboard ask for a label of a series that is told, and are the ones that it uses', () => {
  const variables = objects(Object(dashboard.templating).list);
  const asked = variables.flatMap(({ query }) => {
    const [, series = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(text(query)) ?? [];
    return series === '' ? [] : [[series, label]];
  });
  assert.deepEqual(asked, [['db_client_connection_limit', labelName(POOL_NAME)]]);
  assert.ok(told.series.get('db_client_connection_limit')?.includes(labelName(POOL_NAME)));
  const used = [...JSON.stringify(dashboard.panels).matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name);
  const defined = variables.map(({ name }) => text(name));
  assert.deepEqual(sorted([...new Set(used)]), sorted([...defined, '__rate_interval']));
});

test('every metric is on the dashboard or in the alerts, or it is known why it is on neither', () => {
  const shown = JSON.stringify(dashboard) + read('observability/alerts.yml');
  const missing = METRICS.filter((metric) => !shown.includes(familyName(metric))).map(({ name }) => name);
  assert.deepEqual(sorted(missing), [
    // The same as the limit, or as what is kept open anyway.
    'db.client.connection.idle.max',
    'db.client.connection.idle.min',
    // Server down says it.
    'oxbow.connection.last_failure_age',
    // Looked up once, and then it is known.
    'oxbow.pool.phase',
    'oxbow.query.spoken',
  ]);
});

interface Rule {
  readonly [key: string]: string;
}

/** The rules of our own file: plain scalars below `- alert:`, as `key: value`. Anything else cannot be read. */
function rulesOf(yaml: string): Rule[] {
  const rules: Record<string, string>[] = [];
  const lines = yaml.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  assert.deepEqual(lines.slice(0, 3), ['groups:', '  - name: oxbow', '    rules:']);
  for (const line of lines.slice(3)) {
    const [, dash, key, value = ''] =
      /^ {6}(- | {2,4})(\w+):(?: (.*))?$/.exec(line) ?? assert.fail(`unreadable: ${line}`);
    if (dash === '- ') rules.push({});
    const rule = rules.at(-1) ?? assert.fail('no rule yet');
    if (value !== '' && key !== undefined) rule[key] = /^'.*'$/.test(value) ? value.slice(1, -1) : value;
  }
  return rules;
}

test('the alerts are four, about what is told, and show labels that their expressions keep', () => {
  const rules = rulesOf(read('observability/alerts.yml'));
  const core = rules.map(({ expr = '', for: lasting = '' }) => [namedIn(expr).series.map(({ name }) => name), lasting]);
  assert.deepEqual(core, [
    [['db_client_connection_wait_time_seconds_bucket'], '5m'],
    [['db_client_connection_pending_requests'], '1m'],
    [['db_client_connection_timeouts_total'], ''],
    [['db_client_connection_count', 'db_client_connection_limit'], '5m'],
  ]);
  const [wait = '', pending = '', timeouts = '', full = ''] = rules.map(({ expr = '' }) => expr);
  assert.match(wait, /^histogram_quantile\(0\.99, .*\) > 0\.1$/);
  assert.match(pending, / > 0$/);
  assert.match(timeouts, / > 0$/);
  assert.match(full, /db_client_connection_state="used".* > 0\.9$/);
  for (const { alert = '', expr = '', severity = '', summary = '', description = '' } of rules) {
    assert.deepEqual(slips(expr), [], alert);
    assert.match(alert, /^Oxbow\w+$/);
    assert.match(severity, /^(?:warning|critical)$/);
    assert.ok(summary !== '' && description !== '', alert);
    assert.deepEqual(unkept(summary + description, expr), [], alert);
    for (const [word] of description.matchAll(/\b(?:oxbow|db_client)_\w+/g)) assert.ok(told.series.has(word), word);
  }
});
