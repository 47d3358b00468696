// Sequences that once found a fault, as they came out of the shrinking: they are run first and never forgotten, whatever the
// seeds of the random ones are.

import { test } from 'node:test';
import type { Command, Setup } from './commands.ts';
import { Coverage } from './coverage.ts';
import { run } from './run.ts';

const PLAIN: Setup = {
  ports: 'inert',
  faithless: false,
  nosy: undefined,
  permits: 1,
  proves: false,
  holds: false,
  configure: false,
  min: 0,
  max: 1,
  acquireTimeoutMs: 30_000,
  connectTimeoutMs: 2_000,
  idleTimeoutMs: Infinity,
  maxLifetimeMs: Infinity,
  maxUses: Infinity,
  maxWaiting: Infinity,
  check: 'stale',
  checkAfterIdleMs: 1_000,
  checkTimeoutMs: 1_000,
  reset: 'rollback',
  watches: true,
  silentAfterMs: Infinity,
  returnTimeoutMs: 2_000,
  idlePingMs: Infinity,
  connectConcurrency: 1,
  reconnectTimeoutMs: 300_000,
  autoOpen: true,
  seed: 0,
};

const acquire: Command = { do: 'acquire', count: 1, timeoutMs: undefined, signal: false, holdMs: undefined };
const release: Command = { do: 'release', which: 0, how: 'clean' };
const kill: Command = { do: 'kill', which: 0 };
const open: Command = { do: 'open', wait: true, timeoutMs: undefined, signal: false };
const close: Command = { do: 'close', drainMs: 0, cancelMs: 0, waiting: 'reject' };
const advance = (ms: number): Command => ({ do: 'advance', ms });

const FOUND: readonly { readonly name: string; readonly setup: Partial<Setup>; readonly commands: Command[] }[] = [
  {
    name: 'a pool whose permits are wanted elsewhere does not open and close its floor for ever',
    setup: { ports: 'scripted' },
    commands: [{ do: 'permits', limit: 1, pressure: Infinity }, open],
  },
  {
    name: 'a resize after close() leaves no timer behind',
    setup: {},
    commands: [close, { do: 'resize', min: 0, max: 1 }],
  },
  {
    name: 'an observer that asks when a connection is lost does not get that one',
    setup: { ports: 'scripted', nosy: 'lost' },
    commands: [open, kill],
  },
  {
    name: 'an observer that asks when one connection is retired does not get the next one to be retired',
    setup: { ports: 'scripted', nosy: 'retired', permits: 3, maxLifetimeMs: 500 },
    commands: [acquire, acquire, { do: 'resize', min: 1, max: 3 }, release, advance(1_000)],
  },
  {
    name: 'close() ends although a connection that had been put aside is already being cut',
    setup: { check: 'always', max: 2 },
    commands: [
      { do: 'replies', call: 'ping', how: 'never', times: 1 },
      acquire,
      advance(1_000),
      { do: 'replies', call: 'destroy', how: 'slow', times: 1 },
      kill,
    ],
  },
  {
    name: 'nobody counts on the check of a connection that has died meanwhile',
    setup: { check: 'custom' },
    commands: [
      { do: 'resize', min: 1, max: 1 },
      { do: 'replies', call: 'check', how: 'slow', times: 1 },
      acquire,
      kill,
      release,
      acquire,
    ],
  },
  {
    name: 'a task that holds a lease gets no other one once close() has cut what was lent',
    setup: { ports: 'scripted', max: 2, permits: 2 },
    commands: [
      { do: 'nested', on: true },
      acquire,
      { do: 'replies', call: 'destroy', how: 'late', times: 1 },
      close,
      acquire,
      advance(11_000),
    ],
  },
  {
    name: 'a connect that answers long after the pool has closed sets no timer',
    setup: { ports: 'scripted', faithless: true, maxLifetimeMs: 5_000 },
    commands: [
      acquire,
      advance(11_000),
      acquire,
      { do: 'server', mode: 'deaf', times: 1 },
      release,
      advance(2_500),
      advance(2_500),
      close,
      advance(2_500),
      advance(2_500),
    ],
  },
  {
    name: 'a second connection that the same failover condemned does not have the new ones replaced again',
    setup: { ports: 'scripted', max: 3, permits: 3, connectConcurrency: 3 },
    commands: [
      acquire,
      acquire,
      advance(100),
      { do: 'release', which: 0, how: 'replace' },
      acquire,
      { do: 'release', which: 0, how: 'replace' },
      advance(100),
    ],
  },
  {
    name: 'a connect of a probe that nobody could call off is cut when it arrives at last',
    setup: { ports: 'scripted', faithless: true, holds: true, silentAfterMs: 300 },
    commands: [
      acquire,
      { do: 'silent', which: 0, doing: 'working' },
      { do: 'server', mode: 'deaf', times: 1 },
      advance(1_000),
      release,
      advance(11_000),
    ],
  },
  {
    name: 'a paused pool does not open and end its floor for ever because the budget thinks that nobody needs it',
    setup: { ports: 'scripted', proves: true, min: 1 },
    commands: [acquire, { do: 'pause', borrowers: 'wait' }, kill, advance(1_000)],
  },
  {
    name: 'what a budget does not admit is not dialled again in the same turn, for ever',
    setup: { ports: 'scripted', proves: true },
    commands: [{ do: 'proofs', how: 'refuse', times: Infinity }, acquire, advance(1_000)],
  },
];

for (const { name, setup, commands } of FOUND) {
  test(name, () => run({ ...PLAIN, ...setup }, commands, new Coverage(), false));
}
