// The catalogue of metrics: one row each, with its name, its instrument and how it is read. Every door, the dashboard, the alerts and
// docs/reference/metrics.md are made of it or held against it. Names by OpenTelemetry's semantic conventions 1.45 where they have one;
// what has none is ours, under `oxbow.`. Knows no exporter.

import type { Phase } from '../contracts/phase.ts';
import { type Duration, NONE_REFUSED, NONE_RETIRED, NONE_RETURNED, type Reading } from './tally.ts';

/** What tells the pools apart: on every metric. */
export const POOL_NAME = 'db.client.connection.pool.name';

/** The bounds of every histogram, in seconds: those of the conventions. */
export const BUCKETS: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** One figure, or one for each value of the attribute; undefined where there is none now. */
export type Figures = number | undefined | Readonly<Record<string, number>>;

interface Row {
  readonly name: string;
  /** As the conventions write it: `s`, or what is counted, in braces. */
  readonly unit: string;
  readonly description: string;
  /** Where the figure comes from, for the reference. */
  readonly source: string;
}

export interface Attribute {
  readonly key: string;
  /** All there are, each always reported; undefined: only those that have occurred. */
  readonly values: readonly string[] | undefined;
}

/** Of pools of one name the figures of a gauge are the largest, all others the sum. */
export interface ReadMetric extends Row {
  readonly instrument: 'counter' | 'updowncounter' | 'gauge';
  readonly attribute?: Attribute;
  /** Is not 0 when there is no pool any more. */
  readonly lasting?: true;
  readonly read: (reading: Reading) => Figures;
}

export interface TimedMetric extends Row {
  readonly instrument: 'histogram';
  readonly attribute?: undefined;
  readonly timed: Duration;
}

export type Metric = ReadMetric | TimedMetric;

const PHASES: Readonly<Record<Phase, number>> = { created: 0, opening: 0, open: 0, paused: 0, closing: 0, closed: 0 };

/** How one attribute is called with all its values. */
function by(key: string, values: object | undefined): Attribute {
  return { key, values: values === undefined ? undefined : Object.keys(values) };
}

const IN_USE = { idle: 0, used: 0 };
const SPEAKERS = { codec: 0, pg: 0 };

/** What is read when somebody collects. */
export const READ: readonly ReadMetric[] = [
  {
    name: 'db.client.connection.count',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'Connections that are open: idle, or used, which is lent or on the way back.',
    attribute: by('db.client.connection.state', IN_USE),
    source: '`snapshot()`: `idle`; `lent` + `returning`',
    read: ({ snapshot: { idle, lent, returning } }) => ({ idle, used: lent + returning }),
  },
  {
    name: 'db.client.connection.idle.max',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'How many connections may lie idle.',
    source: '`snapshot().max`',
    read: ({ snapshot }) => snapshot.max,
  },
  {
    name: 'db.client.connection.idle.min',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'How many connections are kept open at least.',
    source: '`snapshot().min`',
    read: ({ snapshot }) => snapshot.min,
  },
  {
    name: 'db.client.connection.limit',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'How many connections there may be.',
    source: '`snapshot().max`',
    read: ({ snapshot }) => snapshot.max,
  },
  {
    name: 'db.client.connection.pending_requests',
    instrument: 'updowncounter',
    unit: '{request}',
    description: 'Requests that wait for a connection.',
    source: '`snapshot().waiting`',
    read: ({ snapshot }) => snapshot.waiting,
  },
  {
    name: 'db.client.connection.timeouts',
    instrument: 'counter',
    unit: '{timeout}',
    description: 'Requests that waited for a connection until their time was up.',
    source: 'event `refused` with the reason `timeout`',
    read: ({ refused }) => refused.timeout,
  },
  {
    name: 'oxbow.request.refused',
    instrument: 'counter',
    unit: '{request}',
    description: 'Requests that got no connection, by reason; timeouts too.',
    attribute: by('oxbow.reason', NONE_REFUSED),
    source: 'event `refused`',
    read: ({ refused }) => refused,
  },
  {
    name: 'oxbow.request.oldest_wait',
    instrument: 'gauge',
    unit: 's',
    description: 'For how long the oldest request has been waiting; 0 if none does.',
    source: '`snapshot().oldestWaitMs`',
    read: ({ snapshot }) => snapshot.oldestWaitMs / 1_000,
  },
  {
    name: 'oxbow.connection.opening',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'Connections that are being dialled or configured.',
    source: '`snapshot().opening`',
    read: ({ snapshot }) => snapshot.opening,
  },
  {
    name: 'oxbow.connection.closing',
    instrument: 'updowncounter',
    unit: '{connection}',
    description: 'Connections that are given up and whose socket is not gone yet.',
    source: '`snapshot().closing`',
    read: ({ snapshot }) => snapshot.closing,
  },
  {
    name: 'oxbow.connection.failed',
    instrument: 'counter',
    unit: '{attempt}',
    description: 'Attempts to connect that failed.',
    source: 'event `openFailed`',
    read: ({ connectsFailed }) => connectsFailed,
  },
  {
    name: 'oxbow.connection.last_failure_age',
    instrument: 'gauge',
    unit: 's',
    description: 'How long ago an attempt to connect last failed; absent if none ever did.',
    source: '`snapshot().lastConnectError`',
    lasting: true,
    read: ({ snapshot: { lastConnectError } }) => lastConnectError && lastConnectError.agoMs / 1_000,
  },
  {
    name: 'oxbow.connection.lost',
    instrument: 'counter',
    unit: '{connection}',
    description: 'Connections that died by themselves.',
    source: 'event `lost`',
    read: ({ lost }) => lost,
  },
  {
    name: 'oxbow.connection.retired',
    instrument: 'counter',
    unit: '{connection}',
    description: 'Connections that were given up on purpose, by reason.',
    attribute: by('oxbow.reason', NONE_RETIRED),
    source: 'event `retired`',
    read: ({ retired }) => retired,
  },
  {
    name: 'oxbow.server.down',
    instrument: 'updowncounter',
    unit: '{pool}',
    description: 'Pools without a server: no connection is open and the last attempt failed.',
    source: 'events `openFailed`, `opened`; `snapshot()`',
    read: ({ down }) => (down ? 1 : 0),
  },
  {
    name: 'oxbow.pool.phase',
    instrument: 'updowncounter',
    unit: '{pool}',
    description: 'Pools, by the phase of their life.',
    attribute: by('oxbow.phase', PHASES),
    source: '`snapshot().phase`',
    read: ({ snapshot }) => ({ ...PHASES, [snapshot.phase]: 1 }),
  },
  {
    name: 'oxbow.lease.oldest_age',
    instrument: 'gauge',
    unit: 's',
    description: 'For how long the connection that is out longest has been lent; 0 if none is.',
    source: '`snapshot().oldestLeaseMs`',
    read: ({ snapshot }) => snapshot.oldestLeaseMs / 1_000,
  },
  {
    name: 'oxbow.lease.returned',
    instrument: 'counter',
    unit: '{lease}',
    description: 'Connections that came back, by what had to be done to them.',
    attribute: by('oxbow.outcome', NONE_RETURNED),
    source: 'event `returned`',
    read: ({ returned }) => returned,
  },
  {
    name: 'oxbow.lease.leaked',
    instrument: 'counter',
    unit: '{lease}',
    description: 'Connections that were reported as kept for too long.',
    source: '`stats().leaksReported`',
    read: ({ leaked }) => leaked,
  },
  {
    name: 'oxbow.lease.reclaimed',
    instrument: 'counter',
    unit: '{lease}',
    description: 'Connections whose borrower had forgotten them, and that were taken back.',
    source: '`stats().leasesReclaimed`',
    read: ({ reclaimed }) => reclaimed,
  },
  {
    name: 'oxbow.query.spoken',
    instrument: 'counter',
    unit: '{query}',
    description: "Queries, by who spoke for them: the pool's codec or pg; absent with a driver of your own.",
    attribute: by('oxbow.speaker', SPEAKERS),
    source: '`stats()`: `queriesByCodec`, `queriesByPg`',
    read: ({ queries }) => queries && { ...queries },
  },
  {
    name: 'oxbow.budget.limit',
    instrument: 'gauge',
    unit: '{connection}',
    description: 'How many connections all who share the budget may have; absent without a budget.',
    source: '`snapshot().budget`: `limit`',
    read: ({ snapshot: { budget } }) => budget?.limit,
  },
  {
    name: 'oxbow.budget.used',
    instrument: 'gauge',
    unit: '{connection}',
    description: 'How many connections all who share the budget have; absent where only the server knows.',
    source: '`snapshot().budget`: `used`',
    read: ({ snapshot: { budget } }) => budget?.used,
  },
  {
    name: 'oxbow.report.made',
    instrument: 'counter',
    unit: '{report}',
    description: 'What a human should read, by the code of the report.',
    attribute: by('oxbow.code', undefined),
    source: 'event `report`',
    read: ({ reports }) => reports,
  },
];

/** The old name of the limit, on request, for dashboards that have not moved. */
export const LIMIT_ALIAS: ReadMetric = {
  name: 'db.client.connection.max',
  instrument: 'updowncounter',
  unit: '{connection}',
  description: 'The deprecated name of db.client.connection.limit; only with `limitAlias`.',
  source: '`snapshot().max`',
  read: ({ snapshot }) => snapshot.max,
};

/** What is recorded as it happens. */
export const TIMED: readonly TimedMetric[] = [
  {
    name: 'db.client.connection.create_time',
    instrument: 'histogram',
    unit: 's',
    description: 'How long it took to make a connection, from dial to configured.',
    source: 'event `opened`: `ms`',
    timed: 'create',
  },
  {
    name: 'db.client.connection.wait_time',
    instrument: 'histogram',
    unit: 's',
    description: 'How long requests waited for a connection until they got one; 0 if one was there.',
    source: 'event `lent`: `waitedMs`',
    timed: 'wait',
  },
  {
    name: 'db.client.connection.use_time',
    instrument: 'histogram',
    unit: 's',
    description: 'How long a connection was lent until it came back.',
    source: 'event `returned`: `heldMs`',
    timed: 'use',
  },
];

export const METRICS: readonly Metric[] = [...READ, ...TIMED];
