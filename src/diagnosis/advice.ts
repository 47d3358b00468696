// What to do about each verdict, most useful first. Owns the advice and nothing else: each line is an order that somebody can follow tonight,
// with the figures of the case where they matter.

import type { Evidence, Verdict } from '../contracts/explain.ts';
import type { Holder } from '../contracts/snapshot.ts';
import { plural } from '../foundation/words.ts';
import { isIdle, leaked } from './verdicts.ts';

/** The places in the user's code, once each. */
function sitesOf(holders: readonly Holder[]): string {
  const sites = [...new Set(holders.flatMap(({ site }) => site ?? []))].slice(0, 3);
  return sites.length === 0 ? '' : ` (${sites.join(', ')})`;
}

const WHO =
  'pool.holders() names who holds a connection and what it ran last; set callSites: true to have every place noted';

/** The lent ones do something. */
const busy = ({ holders, snapshot }: Evidence): string[] => {
  const inside = holders.filter(({ inTransaction }) => inTransaction === true).length;
  return [
    ...(inside === 0
      ? []
      : [
          `${inside} of ${holders.length} are idle inside a transaction${sitesOf(holders.filter(({ inTransaction }) => inTransaction === true))}: what they wait for meanwhile is held up as well`,
        ]),
    `look at the slowest statements${sitesOf(holders)}: a faster one frees more than another connection`,
    `if they are fast and the server has cores to spare, raise max (${snapshot.max}); keep the sum over all processes below its max_connections`,
    'set maxWaiting to refuse early what would be answered too late',
  ];
};

/** The lent ones do nothing. */
const idle = ({ holders }: Evidence): string[] => [
  `give connections back before doing anything else, such as calling another service, or asking this pool again${sitesOf(holders)}`,
  'inside a transaction use its own client for every statement: one that goes to the pool waits for a connection that only its own transaction can give back',
  'set idle_in_transaction_session_timeout on the server, or borrowLimitMs here, to bound what a forgotten transaction can hold',
  WHO,
];

const ADVICE: Readonly<Record<Verdict, (evidence: Evidence) => string[]>> = {
  ok: () => [],
  // Idle for less than a second, all of them: a faster statement would free nothing.
  exhausted: (evidence) =>
    evidence.holders.length > 0 && !evidence.holders.some((one) => one.busy) ? idle(evidence) : busy(evidence),
  'held-idle': idle,
  leak: (evidence) => [
    `give back what is taken${sitesOf(leaked(evidence))}: use pool.use() or pool.transaction(), or release() in a finally block`,
    'if a connection is kept by design, such as for LISTEN, give it a pool of its own or count it into max',
    'borrowLimitMs takes away what is held for too long',
    WHO,
  ],
  deadlock: ({ deadlock, snapshot }) => [
    `pass the lease or the transaction on, instead of asking the pool again inside use() or transaction()${sitesOf(deadlock?.cycle ?? [])}`,
    "nestedAcquire: 'forbid' finds every such place at its first call, in tests for instance",
    `max: ${snapshot.max} only moves the limit: as many of these tasks at once jam any pool`,
  ],
  'server-down': ({ connects }) =>
    connects.failure?.fault === 'permanent'
      ? [
          'mend what the error names: user, password, database or the rules in pg_hba.conf; trying again does not help',
          'open() the pool at start-up, so that this fails the boot and not the first user',
        ]
      : [
          'see whether the server runs and can be reached from here: host, port, firewall, DNS',
          'the pool goes on trying by itself, and serves again as soon as it answers; nothing has to be restarted',
          'health() tells a readiness probe without taking a connection',
        ],
  'server-full': ({ snapshot }) => [
    `lower max (${snapshot.max}) times the number of processes below the server's max_connections, less what it keeps for superusers`,
    'share one limit between them: oxbow/fleet over machines, oxbow/threads over threads',
    'see who has the sessions: select usename, application_name, state, count(*) from pg_stat_activity group by 1, 2, 3',
  ],
  'connecting-slowly': ({ connects }) => [
    'find what is slow: DNS, TLS, authentication or your configure function',
    `keep connections warm with min, so that nobody has to wait for ${plural(Math.max(1, connects.underway), 'connect')}`,
    'let acquireTimeoutMs be longer than a connect takes',
  ],
  'loop-blocked': ({ holders }) => [
    'find the work that keeps the loop: node --cpu-prof, or monitorEventLoopDelay() of node:perf_hooks',
    'move it to a worker thread (oxbow/threads gives it connections under the same limit), or cut it into pieces',
    ...(holders.some((holder) => isIdle(holder))
      ? ['and see why the connections that nobody uses are not given back']
      : ['the database is not the reason: a larger pool changes nothing']),
  ],
  frozen: () => [
    'nothing, if this is a function that was frozen or a machine that slept: the connections are tried before they are lent',
    'close idle ones before a freeze with trim(), see docs/recipes/lambda.md',
    'otherwise look for a synchronous call that takes seconds: execSync, readFileSync on a network drive, Atomics.wait',
  ],
  paused: () => ['call resume(), or find who called pause()', "pause({ borrowers: 'reject' }) refuses at once instead"],
  budget: ({ snapshot }) => [
    `raise the shared limit${snapshot.budget === undefined ? '' : ` (${snapshot.budget.limit})`}, if the server has room for it`,
    'see what the other pools under it do: each of their snapshots says how many permits it has',
    'shorten idleTimeoutMs where connections lie idle while others starve',
  ],
  'wrong-loop': ({ elsewhere }) => [elsewhere?.instead ?? 'make a pool for each event loop'],
  closed: () => [
    'make a new pool: a closed one is not opened again',
    'close the pool only after the last request has been served',
  ],
};

export function adviceFor(verdict: Verdict, evidence: Evidence): string[] {
  return ADVICE[verdict](evidence);
}
