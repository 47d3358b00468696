// Situations of a pool, each with the verdict that must come of it and why: produced by a running engine on the virtual clock, never written
// by hand. Owns how each comes about; who counts and prints is the test.

import assert from 'node:assert/strict';
import type { Explanation, Verdict } from '../../src/contracts/explain.ts';
import type { BudgetFigures, Permits } from '../../src/contracts/permits.ts';
import type { Task, TaskContext } from '../../src/contracts/task-context.ts';
import { Deadlocks } from '../../src/diagnosis/deadlock-graph.ts';
import { elsewhere, explain, explainer } from '../../src/diagnosis/explain.ts';
import { type Behaviour, type ScriptedSession, scriptedError } from '../../src/testing/scripted-driver.ts';
import { type Ask, Rig, type RigOptions, type ScriptedLease } from './rig.ts';

export interface Variant {
  readonly seed: number;
  readonly max: number;
  readonly patienceMs: number;
  readonly waiters: number;
}

export const VARIANTS: readonly Variant[] = [300, 2_500, 20_000].flatMap((patienceMs, row) =>
  [1, 2, 7].map((max, column) => ({
    seed: 3 * row + column + 1,
    max,
    patienceMs,
    waiters: 1 + ((row + column) % 3) * 2,
  })),
);

export interface Situation {
  readonly is: string;
  readonly expected: Verdict;
  readonly because: string;
  /** More than one thing is wrong. */
  readonly mixed?: true;
  /** For which of the variants it can come about; all by default. */
  readonly needs?: (variant: Variant) => boolean;
  /** No sentence of it may match. */
  readonly never?: RegExp;
  run(variant: Variant): Promise<Explanation[]>;
}

const LEAK_MS = 30_000;
const LONG_MS = 40_000;
const REFUSED = 'connect ECONNREFUSED 10.0.0.1:5432';

const roomy = ({ max }: Variant): boolean => max > 1;
/** A process that stood still did so for a second at least. */
const patient = ({ patienceMs }: Variant): boolean => patienceMs >= 2_500;

/** A rig with everything that explains. */
class Case extends Rig {
  readonly variant: Variant;
  /** How the next connects go. */
  opens: () => Behaviour = () => ({});
  pings: () => Behaviour = () => ({});
  /** Who asks. */
  task: Task | undefined;

  constructor(variant: Variant, { settings, ports }: Pick<RigOptions, 'settings' | 'ports'> = {}) {
    const tasks: TaskContext = {
      detached: (work) => work(),
      current: () => this.task,
      holdsLease: () => false,
      matters: () => {},
    };
    super({
      seed: variant.seed,
      settings: {
        max: variant.max,
        acquireTimeoutMs: variant.patienceMs,
        leakAfterMs: LEAK_MS,
        nestedAcquire: 'warn',
        connectTimeoutMs: LONG_MS,
        ...settings,
      },
      script: (call) => (call === 'open' ? this.opens() : call === 'ping' ? this.pings() : undefined),
      ports: { explainer, deadlocks: new Deadlocks(), tasks, ...ports },
    });
    this.variant = variant;
  }

  /** So many are lent; as many as there may be, unless told otherwise. */
  async lend(count: number = this.variant.max): Promise<ScriptedLease[]> {
    // The first connects at once, and each of the others when the one before has shown that the server is well.
    const leases: ScriptedLease[] = [];
    for (let n = 0; n < count; n += 1) leases.push(await this.get(100));
    return leases;
  }

  crowd(): Ask[] {
    return Array.from({ length: this.variant.waiters }, () => this.ask());
  }

  said(): Explanation {
    return this.engine.explain();
  }

  /** What each is told who asks now and is served nothing: when that `part` of its patience is over and `during` was done, and when it is turned away. */
  async refusals(
    asks: readonly Ask[] = this.crowd(),
    during = (): Promise<void> => Promise.resolve(),
    part = 0.5,
  ): Promise<Explanation[]> {
    const { patienceMs } = this.variant;
    const firstMs = Math.ceil(patienceMs * part);
    await this.clock.advance(firstMs);
    await during();
    const said = [this.said()];
    await this.clock.advance(patienceMs - firstMs + 1);
    // What was given back is waited for as well.
    await this.clock.advance(3 * patienceMs + 1);
    return [...said, ...told(asks)];
  }
}

/** What the errors explain. */
function told(asks: readonly Ask[]): Explanation[] {
  return asks.map(({ error }) => {
    assert.ok(error instanceof Error, `not turned away: ${String(error)}`);
    const explanation: unknown = Reflect.get(error, 'explanation');
    assert.ok(typeof explanation === 'object' && explanation !== null, `no explanation: ${error.message}`);
    return explanation as Explanation;
  });
}

function busy(leases: readonly ScriptedLease[], text = 'select slow()'): void {
  for (const { session } of leases) {
    session.status = 'busy';
    session.lastStatement = text;
  }
}

/** The statement is over. */
function quiet(one: Case, sessions: Iterable<ScriptedSession>): void {
  for (const session of sessions) {
    session.status = 'idle';
    session.lastStatement = 'select 1';
    session.quietSince = one.clock.now();
  }
}

const down = (): Behaviour => ({ fail: scriptedError('ECONNREFUSED', REFUSED) });
const full = (): Behaviour => ({ fail: scriptedError('53300', 'sorry, too many clients already') });
const stranger = (): Behaviour => ({ fail: scriptedError('28P01', 'password authentication failed for user "app"') });
const never = (): Behaviour => ({ never: true });

/** `lends` permits and no more; `limit` is that of all pools. */
function scarce(lends: number, limit: number): Permits {
  let held = 0;
  const figures = (): BudgetFigures => ({ kind: 'threads', limit, used: limit, held, members: 3 });
  return {
    tryTake: () => {
      if (held >= lends) return false;
      held += 1;
      return true;
    },
    take: () => new Promise(() => {}),
    give: () => {
      held -= 1;
    },
    pressure: 0,
    yields: () => false,
    onPressure: () => () => {},
    figures,
  };
}

/** Every lease belongs to a task that asks for one more. */
async function jammed(one: Case): Promise<Ask[]> {
  const leases = await one.lend();
  return leases.map((lease) => {
    lease.task = { parent: undefined };
    one.task = lease.task;
    const ask = one.ask();
    one.task = undefined;
    return ask;
  });
}

/** All are held, and nobody has used one for long. */
async function leaking(
  variant: Variant,
  options: Pick<RigOptions, 'settings' | 'ports'> = {},
  count?: number,
): Promise<Case> {
  const one = new Case(variant, options);
  await one.lend(count);
  await one.clock.advance(LONG_MS);
  return one;
}

const CLEAN: readonly Situation[] = [
  {
    is: 'connections lie idle',
    expected: 'ok',
    because: 'nobody waits',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(variant.max);
      return [one.said()];
    },
  },
  {
    is: 'all at work, nobody waits',
    expected: 'ok',
    because: 'nobody waits',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      await one.clock.advance(LONG_MS);
      return [one.said()];
    },
  },
  {
    is: 'each runs a long statement',
    expected: 'exhausted',
    because: 'they are at work',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      await one.clock.advance(LONG_MS);
      return one.refusals();
    },
  },
  {
    is: 'each runs short statements, with pauses of half a second',
    expected: 'exhausted',
    because: 'a pause of less than a second is work',
    run: async (variant) => {
      const one = new Case(variant);
      const leases = await one.lend();
      const asks = one.crowd();
      const said: Explanation[] = [];
      for (let ms = 0; ms <= 3 * variant.patienceMs; ms += 250) {
        if (ms % 500 === 0)
          quiet(
            one,
            leases.map(({ session }) => session),
          );
        await one.clock.advance(250);
        if (ms + 250 < variant.patienceMs) said.push(one.said());
      }
      return [...said.slice(0, 3), ...told(asks)];
    },
  },
  {
    is: 'all held, none used for two seconds',
    expected: 'held-idle',
    because: 'none has run anything for a second, none for as long as a leak',
    run: async (variant) => {
      const one = new Case(variant);
      await one.lend();
      await one.clock.advance(2_000);
      return one.refusals();
    },
  },
  {
    is: 'all idle in transaction',
    expected: 'held-idle',
    because: 'a transaction that runs nothing does nothing',
    run: async (variant) => {
      const one = new Case(variant);
      for (const { session } of await one.lend()) {
        quiet(one, [session]);
        session.status = 'transaction';
      }
      await one.clock.advance(1_500);
      return one.refusals();
    },
  },
  {
    is: 'all held and forgotten',
    expected: 'leak',
    because: 'unused for longer than leakAfterMs',
    run: async (variant) => (await leaking(variant)).refusals(),
  },
  {
    is: 'one forgotten, the others at work',
    expected: 'leak',
    because: 'one lease is lost to everybody',
    needs: roomy,
    run: async (variant) => {
      const one = new Case(variant);
      const [, ...others] = await one.lend();
      busy(others);
      await one.clock.advance(LONG_MS);
      return one.refusals();
    },
  },
  {
    is: 'each holder asks for one more',
    expected: 'deadlock',
    because: 'each waits for what the others hold',
    run: async (variant) => {
      const one = new Case(variant);
      return one.refusals(await jammed(one));
    },
  },
  {
    is: 'the same, and the youngest is turned away',
    expected: 'deadlock',
    because: 'its error says what the timeout would have said',
    needs: patient,
    run: async (variant) => {
      const one = new Case(variant, { settings: { nestedAcquire: 'detect' } });
      const asks = await jammed(one);
      await one.clock.advance(1_000);
      return told(asks.slice(-1));
    },
  },
  {
    is: 'the server refuses',
    expected: 'server-down',
    because: 'every connect fails',
    run: async (variant) => {
      const one = new Case(variant);
      one.opens = down;
      return one.refusals();
    },
  },
  {
    is: 'the server swallows every connect',
    expected: 'server-down',
    because: 'connects end for want of an answer',
    run: async (variant) => {
      const one = new Case(variant, { settings: { connectTimeoutMs: Math.round(variant.patienceMs / 4) } });
      one.opens = never;
      return one.refusals();
    },
  },
  {
    is: 'the server is full',
    expected: 'server-full',
    because: 'it says that it has no room',
    run: async (variant) => {
      const one = new Case(variant);
      one.opens = full;
      return one.refusals();
    },
  },
  {
    is: 'a connect takes longer than anybody waits',
    expected: 'connecting-slowly',
    because: 'the connection is on its way',
    run: async (variant) => {
      const one = new Case(variant);
      one.opens = () => ({ afterMs: 10 * variant.patienceMs });
      return one.refusals();
    },
  },
  {
    is: 'idle ones are asked whether they live, and none answers',
    expected: 'connecting-slowly',
    because: 'nobody holds one, and none is ready',
    run: async (variant) => {
      const one = new Case(variant, { settings: { checkTimeoutMs: LONG_MS } });
      await one.fill(variant.max);
      await one.clock.advance(5_000);
      one.pings = never;
      one.opens = never;
      return one.refusals();
    },
  },
  {
    is: 'the loop is blocked for most of the wait',
    expected: 'loop-blocked',
    because: 'what came could not be taken in',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(
        undefined,
        async () => {
          one.clock.block(0.8 * variant.patienceMs);
          await one.clock.settle();
        },
        0.1,
      );
    },
  },
  {
    is: 'the loop is blocked across the deadline',
    expected: 'loop-blocked',
    because: 'several timers are late by one and the same block',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(undefined, async () => {
        one.clock.block(3 * variant.patienceMs);
        await one.clock.advance(1);
      });
    },
  },
  {
    is: 'the process is stopped for most of the wait',
    expected: 'frozen',
    because: 'nobody used the processor meanwhile',
    needs: patient,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(
        undefined,
        async () => {
          one.clock.freeze(0.7 * variant.patienceMs);
          await one.clock.settle();
        },
        0.2,
      );
    },
  },
  {
    is: 'the process is stopped across the deadline',
    expected: 'frozen',
    because: 'several timers are late by one and the same stop',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(undefined, async () => {
        one.clock.freeze(3 * variant.patienceMs + 1_500);
        await one.clock.advance(1);
      });
    },
  },
  {
    is: 'paused',
    expected: 'paused',
    because: 'a paused pool lends nothing',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(variant.max);
      void one.engine.pause('wait');
      return one.refusals();
    },
  },
  {
    is: 'paused, nobody waits',
    expected: 'paused',
    because: 'whoever asked now would wait',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(variant.max);
      void one.engine.pause('wait');
      return [one.said()];
    },
  },
  {
    is: 'other pools have all permits',
    expected: 'budget',
    because: 'room of its own, no permit',
    run: async (variant) => new Case(variant, { ports: { permits: scarce(0, 6) } }).refusals(),
  },
  {
    is: 'asked in another event loop',
    expected: 'wrong-loop',
    because: 'its sockets are elsewhere',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      one.ask();
      return [
        explain(elsewhere(one.engine.snapshot(), { lives: 'it lives there', used: 'here', instead: 'make one' })),
      ];
    },
  },
  {
    is: 'closed',
    expected: 'closed',
    because: 'it is not opened again',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(variant.max);
      await one.shut();
      return [one.said()];
    },
  },
];

const MIXED: readonly Situation[] = [
  {
    is: 'leak + server down, with room',
    expected: 'server-down',
    because: 'there is room: one more connection would do',
    needs: roomy,
    run: async (variant) => {
      const one = await leaking(variant, {}, variant.max - 1);
      one.opens = down;
      return one.refusals();
    },
  },
  {
    is: 'leak + server down, without room',
    expected: 'leak',
    because: 'without room nobody asks the server',
    never: /ECONNREFUSED/,
    run: async (variant) => {
      const one = await leaking(variant);
      one.opens = down;
      return one.refusals();
    },
  },
  {
    is: 'deadlock + blocked loop',
    expected: 'deadlock',
    because: 'a loop that turns would not free them',
    run: async (variant) => {
      const one = new Case(variant);
      return one.refusals(await jammed(one), async () => one.clock.block(0.7 * variant.patienceMs + 60));
    },
  },
  {
    is: 'deadlock + leak',
    expected: 'deadlock',
    because: 'they are idle because they wait for each other',
    needs: ({ patienceMs }) => patienceMs === 20_000,
    run: async (variant) => {
      const one = new Case(variant, { settings: { leakAfterMs: 5_000 } });
      return one.refusals(await jammed(one));
    },
  },
  {
    is: 'deadlock + paused',
    expected: 'paused',
    because: 'nothing is lent before resume(), whoever gives back',
    run: async (variant) => {
      const one = new Case(variant);
      const asks = await jammed(one);
      void one.engine.pause('wait');
      return one.refusals(asks);
    },
  },
  {
    is: 'server full + all at work, with room',
    expected: 'server-full',
    because: 'there is room here, and none there',
    needs: roomy,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend(variant.max - 1));
      one.opens = full;
      return one.refusals();
    },
  },
  {
    is: 'server full + all at work, without room',
    expected: 'exhausted',
    because: 'without room nobody asks the server',
    never: /too many clients/,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      one.opens = full;
      return one.refusals();
    },
  },
  {
    is: 'frozen + server restarted meanwhile',
    expected: 'server-down',
    because: 'a refusal was heard after the stop',
    needs: patient,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(undefined, async () => {
        one.clock.freeze(0.7 * variant.patienceMs);
        one.opens = down;
        for (const session of one.driver.alive) session.kill();
        await one.clock.advance(1);
      });
    },
  },
  {
    is: 'frozen for a twentieth of the wait + leak',
    expected: 'leak',
    because: 'the rest of the wait was time enough',
    needs: ({ patienceMs }) => patienceMs === 20_000,
    run: async (variant) => {
      const one = await leaking(variant);
      return one.refusals(undefined, async () => {
        one.clock.freeze(1_200);
        await one.clock.settle();
      });
    },
  },
  {
    is: 'blocked for a third of the wait + all at work',
    expected: 'exhausted',
    because: 'for the larger part the loop turned',
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend());
      return one.refusals(undefined, async () => {
        one.clock.block(variant.patienceMs / 3);
        await one.clock.settle();
      });
    },
  },
  {
    is: 'blocked + connects without an answer',
    expected: 'loop-blocked',
    because: 'the answer may lie unread',
    run: async (variant) => {
      const one = new Case(variant, { settings: { connectTimeoutMs: Math.round(variant.patienceMs / 3) } });
      one.opens = never;
      return one.refusals(undefined, async () => {
        one.clock.block(2.5 * variant.patienceMs);
        await one.clock.advance(1);
      });
    },
  },
  {
    is: 'blocked + server refuses',
    expected: 'server-down',
    because: 'a refusal was read by a loop that turned',
    run: async (variant) => {
      const one = new Case(variant);
      one.opens = down;
      return one.refusals(undefined, async () => one.clock.block(0.7 * variant.patienceMs + 60));
    },
  },
  {
    is: 'all held idle but one, which is connecting',
    expected: 'connecting-slowly',
    because: 'that one is what the first in line waits for',
    needs: roomy,
    run: async (variant) => {
      const one = new Case(variant);
      await one.lend(variant.max - 1);
      one.opens = never;
      await one.clock.advance(2_000);
      return one.refusals();
    },
  },
  {
    is: 'one at work, much room, a connect without an answer',
    expected: 'connecting-slowly',
    because: 'it has been on its way for the whole of the wait',
    needs: roomy,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend(1));
      one.opens = never;
      return one.refusals();
    },
  },
  {
    is: 'all forgotten, one of them dies late in the wait',
    expected: 'leak',
    because: 'its successor has been connecting for a moment only',
    needs: ({ max, patienceMs }) => max > 1 && patienceMs === 20_000,
    run: async (variant) => {
      const one = await leaking(variant);
      const asks = one.crowd();
      await one.clock.advance(variant.patienceMs - 20);
      one.opens = never;
      one.driver.alive[0]?.kill();
      await one.clock.advance(1);
      const said = one.said();
      await one.clock.advance(variant.patienceMs);
      return [said, ...told(asks)];
    },
  },
  {
    is: 'paused + leak',
    expected: 'paused',
    because: 'nothing is lent before resume()',
    run: async (variant) => {
      const one = await leaking(variant);
      void one.engine.pause('wait');
      return one.refusals();
    },
  },
  {
    is: 'paused + server down',
    expected: 'paused',
    because: 'nothing is lent before resume()',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(1);
      one.opens = down;
      void one.engine.pause('wait');
      return one.refusals();
    },
  },
  {
    is: 'leak + the permits are with others',
    expected: 'budget',
    because: 'there is room: one more permit would do',
    needs: roomy,
    run: async (variant) => {
      const one = await leaking(
        variant,
        { ports: { permits: scarce(variant.max - 1, variant.max + 3) } },
        variant.max - 1,
      );
      return one.refusals();
    },
  },
  {
    is: 'leak + all permits are here',
    expected: 'leak',
    because: 'no other pool has anything to give',
    needs: roomy,
    run: async (variant) => {
      const one = await leaking(
        variant,
        { ports: { permits: scarce(variant.max - 1, variant.max - 1) } },
        variant.max - 1,
      );
      return one.refusals();
    },
  },
  {
    is: 'wrong password + leak, with room',
    expected: 'server-down',
    because: 'there is room, and the server says no',
    needs: roomy,
    run: async (variant) => {
      const one = await leaking(variant, {}, variant.max - 1);
      one.opens = stranger;
      return one.refusals();
    },
  },
  {
    is: 'all at work + a refused connect of an hour ago',
    expected: 'exhausted',
    because: 'connects have succeeded since',
    never: /ECONNREFUSED/,
    run: async (variant) => {
      const one = new Case(variant);
      one.opens = down;
      for (const ask of one.crowd()) assert.equal(ask.settled, false);
      await one.clock.advance(5 * variant.patienceMs);
      one.opens = () => ({});
      await one.clock.advance(3_600_000);
      busy(await one.lend());
      return one.refusals();
    },
  },
  {
    is: 'a connect without an answer + one refused an hour ago, the last of its time',
    expected: 'connecting-slowly',
    because: 'nobody has tried since: it says nothing of now',
    never: /ECONNREFUSED/,
    needs: roomy,
    run: async (variant) => {
      const one = new Case(variant);
      busy(await one.lend(1));
      one.opens = down;
      one.ask();
      await one.clock.advance(2 * variant.patienceMs);
      one.opens = never;
      await one.clock.advance(3_600_000);
      return one.refusals();
    },
  },
  {
    is: 'closing, those in line are still served + leak',
    expected: 'closed',
    because: 'the end was asked for',
    run: async (variant) => {
      const one = await leaking(variant);
      const asks = one.crowd();
      await one.clock.settle();
      void one.engine.close({ drainMs: 600_000, cancelMs: 1_000, waiting: 'serve' });
      return one.refusals(asks);
    },
  },
  {
    is: 'all forgotten, nobody waits',
    expected: 'ok',
    because: 'nobody misses them',
    run: async (variant) => [(await leaking(variant)).said()],
  },
  {
    is: 'asked in another event loop + paused',
    expected: 'wrong-loop',
    because: 'nothing can be done from there',
    run: async (variant) => {
      const one = new Case(variant);
      await one.fill(1);
      void one.engine.pause('wait');
      return [
        explain(elsewhere(one.engine.snapshot(), { lives: 'it lives there', used: 'here', instead: 'make one' })),
      ];
    },
  },
];

export const SITUATIONS: readonly Situation[] = [...CLEAN, ...MIXED.map((one): Situation => ({ ...one, mixed: true }))];
