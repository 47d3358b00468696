// A running statement from which nothing is heard (DESIGN B23): the server may be at work, or the line dead, and from here they look
// alike. Owns who is asked about it, through which session, and what follows from the answer. Never ends what still works.

import type { Doing, Inquiry, Session } from '../contracts/driver.ts';
import { LATE_MS } from '../foundation/deadlines.ts';
import { Custody } from './custody.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import type { Settled } from './steps.ts';

/** The answer is there within this time, or there is none. */
const ANSWER_MS = 3_000;
/** Of which an idle session of the pool's own has so much. */
const IDLE_ANSWER_MS = 1_000;
/** How often it is looked whether something was heard; more often for small limits. */
const LOOK_MS = 1_000;
const LOOKS = 4;
/** So long after an answer that said nothing the same question is asked again. */
const AGAIN_MS = 2_000;
/** For so long a new session is hoped for, where there is room for one, before a probe is opened. */
const HOPE_MS = 500;

/** A statement that has been silent for too long. */
interface Silent<S extends Session> {
  readonly slot: Slot<S>;
  readonly lease: number;
  readonly traffic: number;
  readonly inquiry: Inquiry;
}

export class Silence<S extends Session> {
  readonly #house: Household<S>;
  readonly #silentAfterMs: number;
  readonly #periodMs: number;
  #lookedAt = 0;
  #asking = false;
  /** Nobody could be asked since, though there is room for a new session. */
  #hopingSince: number | undefined;
  #probe: AbortController | undefined;
  #stopped = false;

  constructor(house: Household<S>) {
    this.#house = house;
    this.#silentAfterMs = house.settings.silentAfterMs;
    this.#periodMs = Math.min(LOOK_MS, this.#silentAfterMs / LOOKS);
  }

  get probing(): boolean {
    return this.#probe !== undefined;
  }

  /** The pool closes: its own deadlines see to whatever is still running. */
  stop(): void {
    this.#stopped = true;
    this.#probe?.abort();
  }

  /** Called every so often while anything is lent; cheap unless it is time. */
  look(): void {
    if (this.#silentAfterMs === Infinity || this.#stopped) return;
    const now = this.#house.clock.now();
    const passedMs = now - this.#lookedAt;
    if (passedMs < this.#periodMs) return;
    this.#lookedAt = now;
    // What came while nobody looked has not been read yet: that time does not count.
    const unheardMs = passedMs > this.#periodMs + LATE_MS ? passedMs - this.#periodMs : 0;
    const silent = this.#silent(now, unheardMs);
    if (silent.length === 0 || this.#asking) return;
    this.#asking = true;
    // A reply that is complete comes in first.
    this.#house.clock.pollPhase(() => void this.#ask(silent));
  }

  #silent(now: number, unheardMs: number): Silent<S>[] {
    const silent: Silent<S>[] = [];
    for (const slot of this.#house.slots) {
      const { record, session } = slot;
      if (slot.state !== State.lent || record === undefined || session?.status !== 'busy') {
        slot.heardAt = 0;
        continue;
      }
      const { traffic, pid } = session;
      if (traffic === undefined || pid === undefined || session.inquire === undefined) {
        slot.heardAt = 0;
        continue;
      }
      if (slot.heardAt === 0 || slot.heard !== traffic) {
        slot.heard = traffic;
        slot.heardAt = now;
        continue;
      }
      slot.heardAt += Math.min(unheardMs, now - slot.heardAt);
      if (now - slot.heardAt < this.#silentAfterMs) continue;
      silent.push({ slot, lease: record.id, traffic, inquiry: { pid, ageMs: now - slot.bornAt } });
    }
    return silent;
  }

  async #ask(silent: readonly Silent<S>[]): Promise<void> {
    const still = silent.filter((one) => this.#isSilent(one));
    const doings = still.length === 0 ? [] : await this.#inquire(still.map(({ inquiry }) => inquiry));
    this.#asking = false;
    // Nobody could be asked yet: at the next look.
    if (doings === undefined) return;
    const now = this.#house.clock.now();
    for (const [n, one] of still.entries()) {
      if (this.#isSilent(one)) this.#judge(one, doings[n] ?? 'unknown', now);
    }
  }

  #isSilent({ slot, lease, traffic }: Silent<S>): boolean {
    return slot.record?.id === lease && slot.session?.status === 'busy' && slot.session.traffic === traffic;
  }

  #judge({ slot }: Silent<S>, doing: Doing, now: number): void {
    if (doing === 'working') {
      slot.heardAt = now;
    } else if (doing === 'unknown') {
      slot.heardAt = now - Math.max(0, this.#silentAfterMs - AGAIN_MS);
    } else {
      const there = doing === 'gone' ? 'is gone there' : 'is idle there, so that its reply is lost';
      const silentMs = Math.round(now - slot.heardAt);
      this.#house.lose(
        slot,
        new Error(`nothing was heard for ${silentMs} ms, and the server says that the session ${there}`),
      );
    }
  }

  /** Through an idle session, else a new one within `max`, else a probe. Undefined: not yet. */
  async #inquire(others: readonly Inquiry[]): Promise<readonly Doing[] | undefined> {
    const house = this.#house;
    const began = house.clock.now();
    const idle = house.idle.first;
    if (idle !== null) {
      this.#hopingSince = undefined;
      const doings = await this.#through(idle, others);
      if (doings !== undefined) return doings;
    } else if (house.book.size < house.max && began - (this.#hopingSince ?? began) < HOPE_MS) {
      this.#hopingSince ??= began;
      house.wish();
      return undefined;
    }
    this.#hopingSince = undefined;
    if (this.#stopped) return [];
    return (await this.#throughProbe(others, ANSWER_MS - (house.clock.now() - began))) ?? [];
  }

  async #through(slot: Slot<S>, others: readonly Inquiry[]): Promise<readonly Doing[] | undefined> {
    const house = this.#house;
    const session = slot.session as S;
    house.idle.remove(slot);
    house.book.move(slot, State.returning);
    if (!house.held) house.hold();
    const custody = new Custody(slot);
    const asked = await house.steps.step('inquire', () => session.inquire?.(others), IDLE_ANSWER_MS);
    if (custody.held) {
      if (asked.is !== 'late' && session.status === 'idle') {
        slot.seenAt = house.clock.now();
        house.rest(slot, slot.seenAt);
      } else {
        // It has missed a proof of life, and another is dead already.
        house.condemn(slot, 'check');
      }
    }
    house.pump();
    return asked.is === 'done' ? asked.value : undefined;
  }

  /** Outside `max`, and only as long as this takes. */
  async #throughProbe(others: readonly Inquiry[], boundMs: number): Promise<readonly Doing[] | undefined> {
    const house = this.#house;
    const { steps, clock, driver } = house;
    const until = clock.now() + boundMs;
    const abort = new AbortController();
    this.#probe = abort;
    if (!house.held) house.hold();
    const dial = (): Promise<S> => driver.open({ attempt: 1, signal: abort.signal });
    const opened = await steps.step('probe', dial, boundMs, abort.signal);
    let doings: readonly Doing[] | undefined;
    if (opened.is === 'done') {
      const session = opened.value;
      // Its own end is of interest to nobody.
      session.onLost(() => {});
      const ask = (): unknown => session.inquire?.(others);
      const asked = await steps.step('inquire', ask, until - clock.now(), abort.signal);
      if (asked.is === 'done') doings = asked.value as readonly Doing[] | undefined;
      await steps.step('destroy', () => session.destroy(), ANSWER_MS);
    } else if (opened.is === 'late') {
      abort.abort();
      const arrived = await steps.step('abandon', () => opened.rest, ANSWER_MS);
      if (arrived.is === 'late') void this.#cutWhenever(arrived.rest);
      else await this.#cut(arrived, ANSWER_MS);
    }
    this.#probe = undefined;
    house.probed();
    return doings;
  }

  /** Nobody waits any longer for the driver to give up a connect; but what arrives all the same must not stay. */
  async #cutWhenever(rest: Promise<Settled<Settled<S>>>): Promise<void> {
    const arrived = await this.#house.steps.step('abandon', () => rest, Infinity);
    // The pool may have closed by now, and then leaves no timer behind.
    if (arrived.is === 'done') await this.#cut(arrived.value, Infinity);
  }

  async #cut(arrived: Settled<Settled<S>>, boundMs: number): Promise<void> {
    if (arrived.is !== 'done' || arrived.value.is !== 'done') return;
    const session = arrived.value.value;
    await this.#house.steps.step('destroy', () => session.destroy(), boundMs);
  }
}
