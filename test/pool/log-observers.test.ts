// What a logger is told, with pino itself (as Fastify makes it): phases, outages, and each lend only if its level says so.

import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import test from 'node:test';
import { fastify } from 'fastify';
import { type Logger, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { scriptedError } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { TalkingDriver } from './talking-driver.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly pool?: string;
  readonly event?: string;
  readonly err?: { readonly message: string };
  readonly [key: string]: unknown;
}

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };

/** A genuine pino, and what it has written. */
function pino(level: string): { logger: Logger; lines: Line[] } {
  const lines: Line[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  return { logger: fastify({ logger: { level, stream } }).log, lines };
}

function rig(options: PoolOptions): { pool: Pool; clock: VirtualClock; driver: TalkingDriver } {
  const clock = new VirtualClock();
  const driver = new TalkingDriver(clock);
  return { clock, driver, pool: new Pool({ name: 'shop', max: 1, clock, driver, dev: false, ...options }) };
}

/** One query, and the end. */
async function aLife({ pool, clock }: ReturnType<typeof rig>, ms = 0): Promise<void> {
  const over = pool.query('x');
  await clock.advance(ms);
  await over;
  const closed = pool.close();
  await clock.advance(1_000);
  await closed;
}

const told = (lines: readonly Line[]): string[] =>
  lines.map(({ level, event, msg }) => `${LEVELS[level]} ${event}: ${msg}`);

test('a log at level info is told of the phases, and of nothing that comes with a lend', async () => {
  const { logger, lines } = pino('info');
  await aLife(rig({ logger }));
  assert.deepEqual(told(lines), [
    'info phase: shop: created → open',
    'info phase: shop: open → closing',
    'info phase: shop: closing → closed',
  ]);
  assert.deepEqual([lines[0]?.pool, lines[0]?.from, lines[0]?.to], ['shop', 'created', 'open']);
});

test('a log at level debug is told of each event once', async () => {
  const { logger, lines } = pino('debug');
  await aLife(rig({ logger }));
  const events = lines.map(({ level, event }) => `${LEVELS[level]} ${event}`);
  assert.deepEqual(events, [
    'info phase',
    'debug waiting',
    'debug opening',
    'debug opened',
    'debug lent',
    'debug returned',
    'info phase',
    'debug retired',
    'debug closed',
    'info phase',
  ]);
  const lent = lines.find(({ event }) => event === 'lent');
  assert.deepEqual([lent?.pool, lent?.id, lent?.lease, lent?.waitedMs], ['shop', 1, 1, 0]);
});

test('an outage is a warning for each connect that fails, and an end; one that will not pass is an error', async () => {
  const { logger, lines } = pino('info');
  const out = rig({ logger });
  const refused = scriptedError('ECONNREFUSED', 'nobody listens');
  out.driver.scripted.script = (call, _session, count) =>
    call === 'open' && count <= 2 ? { fail: refused } : undefined;
  await aLife(out, 10_000);
  const events = lines.filter(({ event }) => event !== 'phase').map(({ level, event }) => `${LEVELS[level]} ${event}`);
  assert.deepEqual(events, ['warn openFailed', 'warn openFailed', 'info restored']);
  const [failed] = lines.filter(({ event }) => event === 'openFailed');
  assert.match(failed?.msg ?? '', /^shop: connecting failed \(attempt 1\), again in \d+ ms: .*nobody listens/);
  assert.match(failed?.err?.message ?? '', /nobody listens/);

  const wrong = pino('info');
  const { pool, clock, driver } = rig({ logger: wrong.logger });
  driver.scripted.script = (call) => (call === 'open' ? { fail: scriptedError('28P01', 'wrong password') } : undefined);
  const refusal = assert.rejects(pool.query('x'));
  await clock.advance(100);
  await refusal;
  assert.ok(
    told(wrong.lines).some((line) =>
      /^error openFailed: shop: connecting failed \(attempt 1\), again .*wrong password/.test(line),
    ),
  );
});

test('a connection that dies is told of, with what it was doing', async () => {
  const { logger, lines } = pino('info');
  const { pool, clock, driver } = rig({ logger });
  const over = pool.query('x');
  await clock.settle();
  await over;
  driver.scripted.sessions[0]?.kill();
  await clock.settle();
  assert.ok(told(lines).some((line) => line.startsWith('info lost: shop: a connection (idle) was lost: ')));
});

test('a logger that cannot say its level is told of no lend, and one that throws harms nobody', async () => {
  const debugged: string[] = [];
  const debug = (_facts: object, text: string): void => void debugged.push(text);
  await aLife(rig({ logger: { debug, info() {}, warn() {}, error() {} } }));
  assert.deepEqual(debugged, []);
  const fail = (): never => {
    throw new Error('the disk is full');
  };
  const reported: unknown[] = [];
  const warn = (about: object): never => {
    reported.push(Reflect.get(about, 'code'));
    return fail();
  };
  const broken = { debug: fail, info: fail, warn, error: fail };
  await aLife(rig({ logger: broken }));
  await aLife(rig({ logger: { ...broken, isLevelEnabled: fail } }));
  await aLife(rig({ logger: { ...broken, isLevelEnabled: () => true } }));
  assert.deepEqual(reported, []);
});

test('the methods of a logger are called with it as this', async () => {
  class Counting {
    calls = 0;
    debug(): void {
      this.calls += 1;
    }
    info(): void {
      this.calls += 1;
    }
    warn(): void {
      this.calls += 1;
    }
    error(): void {
      this.calls += 1;
    }
    isLevelEnabled(level: string): boolean {
      return this.calls === 0 && level === 'debug';
    }
  }
  const logger = new Counting();
  await aLife(rig({ logger }));
  assert.equal(logger.calls, 10);
});
