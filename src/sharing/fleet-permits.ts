// One pool's side of a budget that PostgreSQL itself coordinates (DESIGN section 4). Owns when it connects without a permit, seeks, appeals to
// the others and gives way; the words are fleet-sql's, the reasons fleet-rules'.
//
// A session proves its permit with an advisory lock of its own, so at most one at a time is on its way without one: that session seeks, as
// long as it is wanted, and the others of this pool wait for it.

import type { Clock, Timer } from '../contracts/clock.ts';
import type { Bond, Session } from '../contracts/driver.ts';
import { ConnectError } from '../contracts/errors.ts';
import type { BudgetFigures, Member, Permits } from '../contracts/permits.ts';
import { answered } from './answered.ts';
import { FleetGiving } from './fleet-giving.ts';
import { appealText, freedText, paceMs, readPayload, restMs, standing, staysOn, wakes } from './fleet-rules.ts';
import * as sql from './fleet-sql.ts';
import { STARVING_MS } from './patience.ts';

/** Whoever has less than its share says so again within this, as long as that is so. */
const SHORT_LASTS_MS = 400;
/** For so long a share that was found is a reason to leave what comes free to others. */
const SHARE_LASTS_MS = 1_000;
/** And for so long it is worth telling, with what else was seen. */
const SEEN_LASTS_MS = 5_000;
/** Appeals of others are as good as one's own. */
const APPEALED_MS = 150;
/**
 * A permit is told free before its session is gone, which takes the server a moment. It is looked for after part of this, then after
 * twice as long, and so on: each seeker begins at another time.
 */
const FREED_SPREAD_MS = 15;
const FREED_LOOKS = 4;

export interface FleetTerms {
  readonly limit: number;
  readonly floor: number;
  readonly key: string;
}

interface Wait {
  readonly wanted: () => number;
  readonly settle: (taken: boolean) => void;
}

export class FleetPermits implements Permits {
  readonly #terms: FleetTerms;
  readonly #keys: sql.FleetKeys;
  readonly #member: Member;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #bonds = new Map<Session, Bond>();
  /** A session is on its way that has no permit yet. */
  #unproven = false;
  #wait: Wait | undefined;
  #waitTimer: Timer | undefined;
  #restUntil = -Infinity;
  /** When another was last heard to have less than its share. */
  #shortAt = -Infinity;
  /** How often the seeking session still looks for a permit that was told free. */
  #eager = 0;
  /** Wakes the seeking session. */
  #nudge: (() => void) | undefined;
  #tookAt = -Infinity;
  #yielding = 0;
  readonly #giving: FleetGiving;
  #said = 0;
  #appealAt = -Infinity;
  /** What we may have, by our own census or by who asked us for what is above it. */
  #share = { at: -Infinity, count: 0 };
  #seen: { readonly at: number; readonly members: number; readonly seekers: number; readonly used: number } | undefined;

  constructor(terms: FleetTerms, member: Member) {
    this.#terms = terms;
    this.#member = member;
    this.#clock = member.clock;
    const lockClass = sql.lockClass(terms.key);
    const number = Math.floor(member.clock.random() * sql.MEMBERS);
    this.#keys = { lockClass, channel: `oxbow_${lockClass >>> 0}`, limit: terms.limit, member: number };
    this.#giving = new FleetGiving(this.#clock, number, () => {
      for (const listener of this.#listeners) listener();
    });
  }

  get pressure(): number {
    return this.#giving.pressure;
  }

  tryTake(): boolean {
    if (this.#unproven || this.#clock.now() < this.#restUntil || this.#leaves()) return false;
    this.#unproven = true;
    return true;
  }

  take(wanted: () => number): Promise<boolean> {
    return new Promise((settle) => {
      this.#wait = { wanted, settle };
      this.#look();
    });
  }

  async admit(session: Session, wanted: () => number, signal: AbortSignal): Promise<boolean> {
    const { bond } = session;
    if (bond === undefined) throw this.#pooled(', or a driver that has no bond for budgets');
    const slot = (await this.#first(bond)) ?? (await this.#seek(bond, wanted, signal));
    if (slot === undefined || signal.aborted) return false;
    this.#bonds.set(session, bond);
    bond.renew = () => this.#renew(bond, slot);
    bond.farewell = () => sql.notice(this.#keys, freedText(this.#keys.member, this.#next()));
    this.#unproven = false;
    this.#tookAt = this.#clock.now();
    this.#look();
    return true;
  }

  give(session: Session | undefined): void {
    if (session === undefined || !this.#bonds.delete(session)) this.#unproven = false;
    else if (this.#yielding > 0) this.#yielding -= 1;
    this.#look();
  }

  yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    const needs = Math.max(this.#member.needs(), this.#terms.floor);
    const holding = { held: this.#bonds.size - this.#yielding, needs, tookAt: this.#tookAt };
    const goes = this.#giving.yields({ needed, heldMs, idleMs }, holding);
    if (goes) this.#yielding += 1;
    return goes;
  }

  onPressure(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  leave(): void {
    this.#waitTimer?.cancel();
    this.#waitTimer = undefined;
    const wait = this.#wait;
    this.#wait = undefined;
    wait?.settle(false);
    this.#giving.forget();
  }

  figures(): BudgetFigures {
    const seen = this.#seen;
    const fresh = seen !== undefined && this.#clock.now() - seen.at < SEEN_LASTS_MS;
    return {
      kind: 'fleet',
      limit: this.#terms.limit,
      // Seen a moment ago, and we know better what is ours.
      used: fresh ? Math.max(seen.used, this.#bonds.size) : undefined,
      held: this.#bonds.size,
      members: fresh ? seen.members : undefined,
    };
  }

  /** Whoever waits goes on as soon as nobody is on the way without a permit. */
  #look(): void {
    const wait = this.#wait;
    if (wait === undefined) return;
    this.#waitTimer?.cancel();
    this.#waitTimer = undefined;
    const wanted = wait.wanted() > 0;
    if (wanted && !this.tryTake()) {
      this.#waitTimer = this.#clock.timer(paceMs(0), () => this.#look());
      return;
    }
    this.#wait = undefined;
    wait.settle(wanted);
  }

  /** The one round trip that every session makes. */
  async #first(bond: Bond): Promise<number | undefined> {
    const pid = bond.pid ?? bond.keyPid;
    if (pid === undefined) throw this.#pooled();
    bond.hear(this.#keys.channel, (payload) => this.#heard(payload));
    try {
      const slot = sql.readGrab(await this.#answer(bond.ask(sql.admission(this.#keys, this.#start(), pid))));
      await this.#answer(bond.fence());
      return slot;
    } catch (error) {
      // A lock there belongs to a session that others use too: two clients were seen to have the same permit.
      if (sql.isPooled(error)) throw this.#pooled();
      // It may be promoted at any moment: whoever waits goes on waiting.
      if (sql.isStandby(error))
        throw new Error(
          'a fleet budget needs a primary, and this server is a standby, where its members cannot speak',
          {
            cause: error,
          },
        );
      throw error;
    }
  }

  /** This session waits for a permit as long as it is wanted; the permit's number, or undefined. */
  async #seek(bond: Bond, wanted: () => number, signal: AbortSignal): Promise<number | undefined> {
    const hungry = (): boolean => wanted() > 0 && !signal.aborted;
    let told = false;
    let lookAt = this.#clock.now() + STARVING_MS;
    while (hungry()) {
      await this.#pause(lookAt - this.#clock.now(), signal);
      if (!hungry()) break;
      if (this.#eager > 0) this.#eager -= 1;
      const slot = this.#leaves() ? undefined : await this.#grab(bond);
      if (slot !== undefined && told) await this.#answer(bond.ask(sql.foundOne(this.#keys)));
      if (slot !== undefined) return slot;
      // Woken since something came free, and another was quicker: a census costs the server more than an attempt.
      if (this.#clock.now() < lookAt) continue;
      if (!told && this.#pressing()) {
        await this.#answer(bond.ask(sql.seeking(this.#keys)));
        told = true;
      }
      const stands = await this.#count(bond, wanted());
      if (this.#pressing()) await this.#appeal(bond, wanted(), stands);
      if (!staysOn(stands)) {
        this.#restUntil = this.#clock.now() + restMs(stands.seekers) * (1 + this.#clock.random());
        break;
      }
      lookAt = this.#clock.now() + paceMs(stands.seekers) * (0.75 + this.#clock.random() / 2);
    }
    return undefined;
  }

  async #grab(bond: Bond): Promise<number | undefined> {
    return sql.readGrab(await this.#answer(bond.ask(sql.another(this.#keys, this.#start()))));
  }

  /** Somebody waits here; else it is only to keep warm that we seek, and that takes nothing from anybody. */
  #pressing(): boolean {
    return this.#member.waiting?.() !== 0;
  }

  /** How many seek, as far as it was seen lately. */
  #crowd(): number {
    const seen = this.#seen;
    return seen === undefined || this.#clock.now() - seen.at > SEEN_LASTS_MS ? 0 : seen.seekers;
  }

  /** Who has its share leaves what comes free to those who have not. */
  #leaves(): boolean {
    const now = this.#clock.now();
    if (now - this.#shortAt >= SHORT_LASTS_MS) return false;
    if (!this.#pressing()) return true;
    // It looks at its share only while it seeks: what that was among others binds it no longer.
    if (now - this.#share.at > SHARE_LASTS_MS) return false;
    return this.#bonds.size >= this.#share.count;
  }

  async #count(bond: Bond, want: number): Promise<ReturnType<typeof standing>> {
    const entries = sql.readCensus(await this.#answer(bond.ask(sql.census(this.#keys))));
    const me = { member: this.#keys.member, held: this.#bonds.size, want };
    const turn = Math.floor(this.#clock.random() * sql.MEMBERS);
    const stands = standing(entries, me, this.#terms.limit, this.#terms.floor, turn);
    const { members, seekers, share, used } = stands;
    const at = this.#clock.now();
    this.#seen = { at, members, seekers, used };
    this.#share = { at, count: share };
    return stands;
  }

  async #appeal(bond: Bond, want: number, { gives, held, share }: ReturnType<typeof standing>): Promise<void> {
    const now = this.#clock.now();
    // Above its share it can only ask for what nobody uses, and that was asked for a moment ago.
    if (want <= 0 || (held >= share && now - this.#appealAt < APPEALED_MS)) return;
    this.#appealAt = now;
    const appeal = { member: this.#keys.member, seq: this.#next(), want, bare: held === 0, short: held < share, gives };
    await this.#answer(bond.ask(sql.notice(this.#keys, appealText(appeal))));
  }

  #heard(payload: string): void {
    const heard = readPayload(payload);
    if (heard === undefined || !this.#giving.isNew(heard)) return;
    const { appeal } = heard;
    const own = heard.member === this.#keys.member;
    if (appeal === undefined) {
      // What we give ourselves was counted when we did.
      if (!own) this.#giving.freed();
      // A permit that is told free is for one: had all of a crowd looked for it, the server would have little else to do.
      if (!wakes(this.#crowd(), this.#clock.random())) return;
      this.#restUntil = -Infinity;
      this.#look();
      this.#eager = FREED_LOOKS;
      this.#nudge?.();
    } else if (!own) {
      const now = this.#clock.now();
      this.#appealAt = now;
      if (appeal.short) this.#shortAt = now;
      const named = appeal.gives.find(([member]) => member === this.#keys.member);
      // Who gives must not be the one that takes it again.
      if (named !== undefined) this.#share = { at: now, count: named[2] };
      this.#giving.asks(appeal);
    }
  }

  #next(): number {
    this.#said += 1;
    return this.#said;
  }

  #answer<T>(asked: Promise<T>): Promise<T> {
    return answered(this.#clock, asked);
  }

  /** Ends early when a permit has come free. */
  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', over);
        this.#nudge = undefined;
        resolve();
      };
      const soonMs = (): number => 1 + FREED_SPREAD_MS * this.#clock.random() * 2 ** (FREED_LOOKS - this.#eager);
      let timer = this.#clock.timer(this.#eager > 0 ? Math.min(ms, soonMs()) : ms, over);
      signal.addEventListener('abort', over);
      this.#nudge = () => {
        timer.cancel();
        timer = this.#clock.timer(soonMs(), over);
      };
    });
  }

  async #renew(bond: Bond, slot: number): Promise<void> {
    if (sql.readAll(await bond.ask(sql.again(this.#keys, slot)))) return;
    throw new Error('a reset gave up the permit of this connection, and another pool has taken it');
  }

  #start(): number {
    return Math.floor(this.#clock.random() * this.#terms.limit);
  }

  #pooled(orElse = ''): ConnectError {
    const text =
      `a fleet budget needs server sessions of its own, and there is a pooler in between${orElse}: connect to PostgreSQL itself, or say ` +
      "pooler: 'session' if the pooler keeps one server session for each client";
    return new ConnectError(text, { host: undefined, transient: false }, undefined);
  }
}
