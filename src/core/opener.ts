// Connecting. Owns the way of a new session from "dialled" to "configured"; how many to dial is `sizing`'s answer, how
// eagerly the governor's. Connects belong to the pool: what arrives goes to whoever is first, or becomes idle.

import type { Timer } from '../contracts/clock.ts';
import type { Fault, Session } from '../contracts/driver.ts';
import type { ConnectError } from '../contracts/errors.ts';
import { CANCEL_MS } from './bounds.ts';
import { type ConnectStage, connectError, faultOfConfigure, judge, whatFailed } from './connect-faults.ts';
import { Custody } from './custody.ts';
import type { Household } from './household.ts';
import { drawExpiry } from './lifespan.ts';
import { needed, Want } from './need.ts';
import { howManyToDial } from './sizing.ts';
import { Slot } from './slot.ts';
import { State } from './states.ts';
import type { Settled } from './steps.ts';

/** A successor is opened this long before a connection expires, or twice as long as a connect has lately taken. */
const AHEAD_MS = 1_000;

export class Opener<S extends Session> {
  readonly #house: Household<S>;
  #lastId = 0;
  #again: Timer | undefined;
  #againAt = Infinity;
  #asking = false;
  /** Sessions that wait for their permit to be proven. */
  seeking = 0;
  /** Credentials were asked for once more since the last success. */
  #askedAnew = false;
  /** The user's check refused a fresh connection, and none has passed since. */
  #unfit = false;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  /** Dials what is needed now, and sees to it that somebody looks again when time alone can change the answer. */
  dial(): void {
    const house = this.#house;
    const { book, governor, queue } = house;
    if (book.size >= house.max) return;
    const now = house.clock.now();
    const wanted = house.lending && queue.length > 0;
    const retryInMs = governor.retryInMs(now, wanted);
    const answer = howManyToDial({
      waiting: house.lending ? queue.length : 0,
      oldestWaitMs: queue.first === null ? 0 : now - queue.first.since,
      opening: book.count(State.opening),
      checking: house.checking,
      lent: book.count(State.lent),
      size: book.size,
      living: book.living,
      floor: house.floor,
      max: house.max,
      concurrency: retryInMs === undefined ? governor.concurrency(now, wanted) : Infinity,
      holdMs: house.counters.useMs.lately,
      connectMs: house.counters.connect.value,
    });
    if (answer.againInMs !== undefined) this.#lookAgain(answer.againInMs, now);
    if (answer.dial === 0) return;
    if (retryInMs !== undefined) {
      this.#lookAgain(retryInMs, now);
      return;
    }
    for (let n = answer.dial; n > 0; n -= 1) {
      if (!house.permits.tryTake()) {
        void house.tasks.detached(() => this.#askForPermit());
        return;
      }
      this.#start();
    }
  }

  wish(): void {
    const { book, clock, governor, max, permits } = this.#house;
    // What is being opened, checked or cleaned will do.
    if (book.size >= max || book.count(State.opening) + book.count(State.returning) > 0) return;
    if (governor.concurrency(clock.now()) === 0) return;
    if (permits.tryTake()) this.#start(true);
  }

  /** Somebody wants a permit that the budget has not, or has yet to see proven. */
  get awaitsPermit(): boolean {
    return this.#asking || this.seeking > 0;
  }

  stop(): void {
    this.#again?.cancel();
    this.#again = undefined;
    this.#againAt = Infinity;
  }

  /** One request for leave at a time; when it is granted the need is looked at anew. */
  async #askForPermit(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const house = this.#house;
    const wanted = (): number => needed(house);
    const asked = await house.steps.step('permit', () => house.permits.take(wanted), Infinity);
    this.#asking = false;
    if (asked.is === 'failed') {
      const error = asked.error instanceof Error ? asked.error : new Error(String(asked.error));
      this.#noteFailure(error, 'transient', house.clock.now());
    } else if (asked.is === 'done' && asked.value) {
      if (wanted() > 0) this.#start();
      else house.permits.give(undefined);
      house.dial();
    } else if (wanted() > 0) {
      // Refused although somebody waits: the budget has nothing for us; ask again at the pace of a refusing server.
      this.#noteFailure(new Error('the budget gave no permit'), 'full', house.clock.now());
    }
  }

  /** The session waits until its permit is proven, for as long as it is wanted; what is found to be wrong is a connect that failed. */
  async #admit(want: Want<S>, fail: (fault: unknown) => void): Promise<void> {
    const house = this.#house;
    const { permits } = house;
    const { custody, slot } = want;
    const over = new AbortController();
    custody.onEnd(() => over.abort());
    const admit = async (): Promise<boolean> => permits.admit?.(slot.session as S, want.ask, over.signal) ?? true;
    this.seeking += 1;
    const admitted = await house.steps.step('admit', admit, Infinity, over.signal);
    this.seeking -= 1;
    if (!custody.held) return;
    if (admitted.is === 'failed') fail(admitted.error);
    else if (admitted.is === 'done' && !admitted.value) {
      house.retire(slot, undefined);
      if (want.said > 0) house.governor.notAdmitted();
      house.pump();
    }
  }

  /** `wished`: for somebody who does not wait for it. */
  #start(wished = false): void {
    const house = this.#house;
    this.#lastId += 1;
    const slot = new Slot<S>(this.#lastId, house.generation, house.clock.now());
    house.book.enter(slot);
    house.slots.add(slot);
    house.counters.connects += 1;
    house.hold();
    // Of the pool, and of no request: so are what is told and what is done once it is there.
    void house.tasks.detached(() => this.#open(slot, wished));
  }

  async #open(slot: Slot<S>, wished: boolean): Promise<void> {
    const house = this.#house;
    const { steps, settings, clock } = house;
    const custody = new Custody(slot);
    const abort = new AbortController();
    slot.attempt = abort;
    const { attempt } = house.governor;
    const begunAt = clock.now();
    house.events.opening(attempt);

    const dial = (): Promise<S> => house.driver.open({ attempt, signal: abort.signal });
    const opened = await steps.step('open', dial, settings.connectTimeoutMs, abort.signal);
    if (opened.is === 'late' || !custody.held) {
      if (custody.held) {
        this.abandon(slot);
        this.#failed(
          new Error(`no answer within connectTimeoutMs (${settings.connectTimeoutMs} ms)`),
          'transient',
          begunAt,
        );
      }
      await this.#seeOff(slot, opened.is === 'late' ? opened.rest : Promise.resolve(opened));
      return;
    }
    if (opened.is === 'failed') {
      slot.ending = 'cut';
      custody.end();
      house.book.move(slot, State.closing);
      // The governor hears of it first: whoever sees the free place must know that the server refuses.
      this.#failed(opened.error, house.driver.classify(opened.error), begunAt);
      house.slotGone(slot);
      return;
    }

    const session = opened.value;
    slot.session = session;
    slot.attempt = undefined;
    let soughtMs = 0;
    let stage: ConnectStage = house.hooks.configure === undefined ? 'open' : 'configure';
    const fail = (fault: unknown): void => {
      house.condemn(slot, undefined);
      this.#failed(fault, judge(house.driver, fault, stage), begunAt, stage);
    };
    session.onLost((error) => {
      if (custody.held) fail(error);
      else house.lose(slot, error);
    });
    if (house.permits.admit !== undefined && custody.held) {
      const next = stage;
      stage = 'admit';
      // Who never waits looks for it again: that wants it as well, for as long as a connect may take.
      const want = new Want(house, slot, custody, wished ? settings.connectTimeoutMs : 0);
      await this.#admit(want, fail);
      // That the others had all permits says nothing about how long a connect takes.
      soughtMs = clock.now() - want.since;
      stage = next;
    }
    if (house.hooks.configure !== undefined && custody.held) {
      const { configure } = house.hooks;
      const configured = await steps.step('configure', () => configure(session), opened.leftMs);
      const fault = faultOfConfigure(configured, session.status, settings.connectTimeoutMs);
      // What still runs on the server would go on there without its client (DESIGN B12).
      if (fault !== undefined && custody.held && session.status === 'busy')
        await steps.step('settle', () => session.settle(), CANCEL_MS);
      if (fault !== undefined && custody.held) fail(fault);
    }
    session.baseline?.();
    if (custody.held) this.#ready(slot, clock.now() - begunAt - soughtMs);
  }

  /** Nobody wants this connect any longer. It counts until the driver says that its socket is gone. */
  abandon(slot: Slot<S>): void {
    if (slot.attempt === undefined) {
      this.#house.condemn(slot, undefined);
      return;
    }
    slot.custody?.end();
    slot.ending = 'cut';
    this.#house.book.move(slot, State.closing);
    slot.attempt.abort();
  }

  /**
   * A connection was refused by the user's check before anybody had it: to the borrowers that is a connect which failed, and a check
   * that refuses them all must not become a storm.
   */
  unfit(fault: unknown): void {
    this.#unfit = true;
    const error = fault instanceof Error ? fault : new Error(String(fault));
    this.#noteFailure(error, 'transient', this.#house.clock.now());
  }

  /** A connection passed the user's check. */
  fit(): void {
    if (!this.#unfit) return;
    this.#unfit = false;
    this.#house.governor.succeeded();
  }

  /** Waits, bounded, for the driver to give up an abandoned connect, and cuts a session that arrives all the same. */
  async #seeOff(slot: Slot<S>, rest: Promise<Settled<S>>): Promise<void> {
    const { steps, settings, reporter } = this.#house;
    let arrived = await steps.step('abandon', () => rest, settings.returnTimeoutMs);
    if (arrived.is === 'late') {
      const message = `${settings.name}: the driver did not give up a connect within ${settings.returnTimeoutMs} ms`;
      reporter.report({ code: 'OXBOW_SOCKET_STUCK', message });
      this.#house.slotGone(slot);
      arrived = await steps.step('abandon', () => rest, Infinity);
    }
    if (arrived.is === 'done' && arrived.value.is === 'done') {
      const session = arrived.value.value;
      // A pool that has closed leaves no timer behind, not even this one.
      const boundMs = this.#house.phase === 'closed' ? Infinity : settings.returnTimeoutMs;
      await steps.step('destroy', () => session.destroy(), boundMs);
    }
    if (slot.state !== State.gone) this.#house.slotGone(slot);
  }

  #ready(slot: Slot<S>, ms: number): void {
    const house = this.#house;
    const now = house.clock.now();
    house.idle.used(slot, now);
    slot.seenAt = now;
    slot.bornAt = now;
    house.counters.connect.add(ms);
    slot.expiresAt = drawExpiry(house.clock, house.settings.maxLifetimeMs, house.slots, now);
    slot.renewAt = slot.expiresAt - Math.max(AHEAD_MS, 2 * (house.counters.connect.value ?? 0));
    house.lookBy(slot.renewAt);
    house.counters.connectMs.record(ms);
    if (!this.#unfit) house.governor.succeeded();
    this.#askedAnew = false;
    house.events.opened(slot.id, ms, slot.session as S);
    house.connected();
    // Whoever was told may have closed the pool.
    if (slot.state === State.opening) house.rest(slot, now);
    house.pump();
  }

  #failed(cause: unknown, fault: Fault, begunAt: number, stage: ConnectStage = 'open'): void {
    const house = this.#house;
    const error = cause instanceof Error ? cause : new Error(String(cause));
    house.counters.connectsFailed += 1;
    this.#noteFailure(error, fault, begunAt);
    const permanent = fault === 'permanent';
    const what = `${house.settings.name}: ${whatFailed(house.driver, error, stage)}`;
    const wrap = (): ConnectError => connectError(house, what, error, !permanent);
    const alive = house.book.living > house.book.count(State.opening);
    if (permanent && !alive) {
      house.turnAway('connect', wrap);
    } else if (house.settings.pgManners && !(fault === 'full' && alive)) {
      // A server without room is no failure of anybody's while a connection may still come back.
      house.turnAway('connect', wrap, 1);
    } else if (permanent) {
      if (this.#askedAnew) {
        const message = `${what}: ${error.message}; going on with what is open`;
        house.reporter.report({ code: 'OXBOW_CONNECT_FAILED', message, error });
      } else {
        this.#askedAnew = true;
        house.governor.hurry();
      }
    }
    house.connectFailed(wrap(), permanent && !alive);
    house.pump();
  }

  #noteFailure(error: Error, fault: Fault, begunAt: number): void {
    const house = this.#house;
    const { attempt } = house.governor;
    const lasted = house.governor.failed(error, fault, begunAt);
    const now = house.clock.now();
    house.events.openFailed(error, attempt, house.governor.retryInMs(now));
    if (lasted) this.#reconnectFailed(error);
    this.#lookAgain(house.governor.retryInMs(now, house.queue.length > 0) ?? 0, now);
  }

  #reconnectFailed(error: Error): void {
    const { hooks, reporter, settings } = this.#house;
    const after = `${settings.name}: no connect has succeeded for ${settings.reconnectTimeoutMs} ms`;
    if (hooks.onReconnectFailed === undefined) {
      reporter.report({ code: 'OXBOW_CONNECT_FAILED', message: `${after}: ${error.message}; still trying`, error });
      return;
    }
    const message = `${after}, and onReconnectFailed threw`;
    const failed = (error: unknown): void => reporter.report({ code: 'OXBOW_CALLBACK_FAILED', message, error });
    try {
      Promise.resolve(hooks.onReconnectFailed(error)).catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  }

  #lookAgain(ms: number, now: number): void {
    if (this.#house.phase === 'closed' || (this.#again !== undefined && this.#againAt <= now + ms)) return;
    this.#again?.cancel();
    this.#againAt = now + ms;
    this.#again = this.#house.clock.timer(ms, () => {
      this.#again = undefined;
      this.#againAt = Infinity;
      this.#house.pump();
    });
  }
}
