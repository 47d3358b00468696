// What a conformance case works with: sessions that are cleared away after it, bounded waits, and the count of sockets. And the
// types by which a driver's author says how. Knows the driver's contract and no particular driver.

import assert from 'node:assert/strict';
import type { Clock } from '../contracts/clock.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import { systemClock } from '../foundation/system-clock.ts';

/** What the cases run. The defaults are PostgreSQL's. */
export interface ConformanceStatements {
  /** Done at once, changes nothing. Default: `SELECT 1`. */
  readonly quick: string;
  /** Opens a transaction. Default: `BEGIN`. */
  readonly begin: string;
  /** Fails; inside a transaction that makes it a failed one. Default: `SELECT 1/0`. */
  readonly fail: string;
  /** Runs far longer than `withinMs`. Default: `SELECT pg_sleep(600)`. */
  readonly slow: string;
  /** Leaves something behind in the session, and fails if that is there already. Default: `CREATE TEMP TABLE oxbow_conformance ()`. */
  readonly leave: string;
}

export type MakeDriver<S extends Session> = () => Driver<S> | Promise<Driver<S>>;

/** Drivers that cannot connect, each in its way. What is left out is not tested. */
export interface ConformancePeers<S extends Session> {
  /** Its peer accepts and never says a word. */
  readonly silent?: MakeDriver<S>;
  readonly refused?: MakeDriver<S>;
  readonly wrongPassword?: MakeDriver<S>;
  readonly unknownDatabase?: MakeDriver<S>;
  /** The server has no slot left. */
  readonly full?: MakeDriver<S>;
}

export interface ConformanceOptions<S extends Session> {
  /**
   * Runs one statement as a borrower would: begins it before returning; resolves when it is over, rejects when it failed or was
   * cancelled.
   */
  run(session: S, text: string): Promise<unknown>;
  /** The server, or the network, ends the session. It need not wait until the session has noticed. */
  kill(session: S): unknown;
  /** How many of the driver's sockets exist at this moment, those of connects under way included. The socket of a cancel request may be. */
  sockets(): number;
  /**
   * Brings the session to where a statement is over but the end of its reply has not come (`busy`); gives a function that lets it
   * come. Without it the two cases about that are left out.
   */
  unread?(session: S): Promise<() => unknown>;
  readonly statements?: Partial<ConformanceStatements>;
  readonly peers?: ConformancePeers<S>;
  /** How long the driver may take for one call, in milliseconds. Default 10 000. */
  readonly withinMs?: number;
  /** Whose time bounds the waits. Default: the machine's. */
  readonly clock?: Clock;
}

/** One case before it is bound to a driver. */
export interface Trial {
  readonly name: string;
  run<S extends Session>(bench: Bench<S>): Promise<void>;
}

const STATEMENTS: ConformanceStatements = {
  quick: 'SELECT 1',
  begin: 'BEGIN',
  fail: 'SELECT 1/0',
  slow: 'SELECT pg_sleep(600)',
  leave: 'CREATE TEMP TABLE oxbow_conformance ()',
};

export class Bench<S extends Session> {
  readonly driver: Driver<S>;
  readonly options: ConformanceOptions<S>;
  readonly statements: ConformanceStatements;
  readonly #clock: Clock;
  readonly #withinMs: number;
  readonly #socketsBefore: number;
  readonly #sessions: S[] = [];

  constructor(driver: Driver<S>, options: ConformanceOptions<S>) {
    this.driver = driver;
    this.options = options;
    this.statements = { ...STATEMENTS, ...options.statements };
    this.#clock = options.clock ?? systemClock;
    this.#withinMs = options.withinMs ?? 10_000;
    this.#socketsBefore = options.sockets();
  }

  /** Sockets that came into being in this case and still exist. */
  get sockets(): number {
    return this.options.sockets() - this.#socketsBefore;
  }

  async open(signal: AbortSignal = new AbortController().signal, driver: Driver<S> = this.driver): Promise<S> {
    const opening = driver.open({ attempt: 1, signal });
    // Also one that comes too late for the case is cleared away.
    opening.then(
      (session) => this.#sessions.push(session),
      () => {},
    );
    return this.soon('open settles', opening);
  }

  /** Runs the statement that is called so. */
  async run(session: S, which: keyof ConformanceStatements): Promise<void> {
    await this.soon(`the statement \`${which}\` is over`, this.start(session, which));
  }

  /** The same, not waited for; its failure is nobody's. */
  start(session: S, which: keyof ConformanceStatements): Promise<unknown> {
    const running = this.options.run(session, this.statements[which]);
    running.catch(() => {});
    return running;
  }

  /** Resolves as `promise` does; rejects if that does not settle within the bound. */
  soon<T>(what: string, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = this.#clock.timer(
        this.#withinMs,
        () => reject(new assert.AssertionError({ message: `not within ${this.#withinMs} ms: ${what}` })),
        true,
      );
      promise.then(resolve, reject).finally(() => late.cancel());
    });
  }

  /** Passes if `promise` rejects within the bound. */
  async rejects(what: string, promise: Promise<unknown>): Promise<void> {
    const outcome = promise.then(
      () => 'resolved',
      () => 'rejected',
    );
    assert.equal(await this.soon(`${what} settles`, outcome), 'rejected', `${what} did not reject`);
  }

  /** Waits for a condition that no promise tells, within the bound. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = this.#clock.now() + this.#withinMs;
    while (!condition()) {
      assert.ok(this.#clock.now() < deadline, `not within ${this.#withinMs} ms: ${what}`);
      await new Promise<void>((resolve) => {
        this.#clock.timer(2, resolve, true);
      });
    }
  }

  /** Lets come what is on its way: a few turns of the event loop, for what must not happen. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) {
      await new Promise<void>((resolve) => {
        this.#clock.timer(2, resolve, true);
      });
    }
  }

  /** Destroys what the case opened; then no socket of it may be left. */
  async clear(): Promise<void> {
    await this.soon('every session is destroyed', Promise.all(this.#sessions.map((session) => session.destroy())));
    await this.until(`no socket of the case is left (there are ${this.sockets})`, () => this.sockets <= 0);
  }
}
