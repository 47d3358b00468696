// The scripted driver with a client that answers: `sleep N` runs for N virtual milliseconds, everything else ends at once. Enough
// of a session for the public Pool on the virtual clock; what is on a wire is the business of test/postgres.

import type { SetDeadline } from '../../src/contracts/deadline.ts';
import type { Driver, Fault, OpenAttempt, Session } from '../../src/contracts/driver.ts';
import { ScriptedDriver, type ScriptedSession, scriptedError } from '../../src/testing/scripted-driver.ts';
import type { VirtualClock } from '../../src/testing/virtual-clock.ts';

interface Answer {
  readonly rows: { text: string }[];
}

/** What a lease of the public pool reads of its session beyond the contract. */
interface Talking {
  readonly client: { query(query: string | { text: string }): Promise<Answer> };
  readonly clock: VirtualClock;
  readonly deadline: SetDeadline;
  readonly queryTimeoutMs: number;
  readonly returnTimeoutMs: number;
  settling: Promise<boolean> | undefined;
  nextReply(): Promise<void>;
  giveUp(statement: unknown): Promise<unknown>;
  whenSettled(begin: () => void): void;
  sever(why: Error): void;
}

export class TalkingDriver implements Driver {
  readonly scripted: ScriptedDriver;
  /** Every statement that was begun, in order. */
  readonly statements: string[] = [];
  readonly #clock: VirtualClock;
  readonly #queryTimeoutMs: number;

  constructor(clock: VirtualClock, queryTimeoutMs: number = Infinity) {
    this.#clock = clock;
    this.#queryTimeoutMs = queryTimeoutMs;
    this.scripted = new ScriptedDriver(clock);
  }

  async open(attempt: OpenAttempt): Promise<Session> {
    return this.#talking(await this.scripted.open(attempt));
  }

  classify(error: unknown): Fault {
    return this.scripted.classify(error);
  }

  #talking(session: ScriptedSession): Session {
    let interrupt: (() => void) | undefined;
    const query = (asked: string | { text: string }): Promise<Answer> => {
      const text = typeof asked === 'string' ? asked : asked.text;
      this.statements.push(text);
      session.lastStatement = text;
      const forMs = Number(/^sleep (\d+)$/.exec(text)?.[1] ?? 0);
      if (forMs === 0) return Promise.resolve({ rows: [{ text }] });
      session.status = 'busy';
      return new Promise((resolve, reject) => {
        const timer = this.#clock.timer(forMs, () => {
          interrupt = undefined;
          session.status = 'idle';
          resolve({ rows: [{ text }] });
        });
        interrupt = () => {
          timer.cancel();
          reject(scriptedError('57014', 'canceling statement due to user request'));
        };
      });
    };
    const settle = session.settle.bind(session);
    const waiting: (() => void)[] = [];
    const talking: Talking = {
      client: { query },
      clock: this.#clock,
      deadline: (ms, ring) => {
        const timer = ms === Infinity ? undefined : this.#clock.timer(Math.max(0, ms), ring);
        return () => timer?.cancel();
      },
      queryTimeoutMs: this.#queryTimeoutMs,
      returnTimeoutMs: Infinity,
      settling: undefined,
      nextReply: () => new Promise(() => {}),
      giveUp: () => Promise.resolve(),
      whenSettled: (begin) => {
        if (Reflect.get(session, 'settling') === undefined) begin();
        else waiting.push(begin);
      },
      sever: (why) => session.kill(why),
    };
    const settleOnce = (): Promise<boolean> => {
      const both = Object.assign(session, talking);
      both.settling ??= settle().then((cancelled) => {
        interrupt?.();
        interrupt = undefined;
        both.settling = undefined;
        for (const begin of waiting.splice(0)) begin();
        return cancelled;
      });
      return both.settling;
    };
    return Object.assign(session, talking, { settle: settleOnce, giveUp: settleOnce });
  }
}
