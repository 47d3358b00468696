// The reference pool: what a pool may and must do, told from outside. Owns a queue of borrowers, who holds what, and the
// bounds; it predicts nothing of the engine's tactics and shares no code with it. It hears what was asked for and what came
// of it, and complains about whatever no correct pool could have done.

import type { Condemnation, Doing } from '../../src/contracts/driver.ts';
import type { ScriptedSession } from '../../src/testing/scripted-driver.ts';
import type { ScriptedLease } from '../kit/rig.ts';
import { count, type Happening, REASONS, type Reason } from './coverage.ts';

/** One borrower's request. */
export interface Ask {
  readonly id: number;
  readonly since: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Gives back by itself after so long. */
  readonly holdMs: number | undefined;
  /** Asked from within the engine: its answer may overtake those who asked in the same turn. */
  readonly nosy: boolean;
  state: 'waiting' | 'granted' | 'refused';
  settledAt: number;
  error: unknown;
  /** When a later borrower was served although this one had not heard yet. */
  overtakenAt: number | undefined;
  /** By one who stands: it hears of its turn sooner than a promise is kept. */
  overtakenByStanding: boolean;
  /** Time lost to a blocked loop while it waited. */
  blockedMs: number;
  /** How many waited already, how the pool stood, when it asked. */
  readonly ahead: number;
}

interface Life {
  readonly bornAt: number;
  lastProofAt: number;
  lends: number;
  /** Proofs of life (pings, or the user's check) since it was lent last. */
  proofs: number;
  /** Not to be lent later than this: a `replaceAll()` was asked for, or it was condemned. */
  lendableUntil: number;
  /** Not to be lent before it has answered. */
  suspect: boolean;
  /** Since it was given back what its borrower may have left behind has been undone; and configured again since. */
  undone: boolean;
  configured: boolean;
}

/** A running statement from which nothing is heard. */
export interface Silent {
  readonly since: number;
  readonly doing: Doing;
  /** The server has answered something about it, in time or not. */
  answered: boolean;
  /** When an answer came in that certainly was in time. */
  answeredAt: number | undefined;
}

export interface Rules {
  readonly min: number;
  readonly max: number;
  readonly maxWaiting: number;
  readonly maxUses: number;
  readonly maxLifetimeMs: number;
  readonly check: 'stale' | 'always' | 'never' | 'custom';
  readonly checkAfterIdleMs: number;
  readonly autoOpen: boolean;
  readonly configure: boolean;
  readonly reset: 'rollback' | 'none' | 'discard' | 'custom' | 'tracked';
  readonly silentAfterMs: number;
  /** Somebody asks from within the engine: then answers of one turn may come in another order than they were given. */
  readonly nosy: unknown;
}

/** What is seen of the engine and the driver at rest. */
export interface Sight {
  readonly now: number;
  readonly phase: string;
  readonly size: number;
  readonly parts: readonly number[];
  readonly idle: number;
  readonly lent: number;
  readonly waiting: number;
  readonly sockets: number;
  /** Sockets of which the pool said that its driver did not destroy them. */
  readonly writtenOff: number;
  /** Sockets outside the pool through which the server is asked about silent statements. */
  readonly probes: number;
  readonly min: number;
  readonly max: number;
  readonly holders: readonly number[];
  /** Checks whose answer may still come in time. */
  readonly checksUnderWay: number;
}

/** A probe whose socket is not gone by then is not waited for. */
const CUT_MS = 3_000;

/** An error by the field that tells its kind. */
export function kindOf(error: unknown): string {
  const kind: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'kind') : undefined;
  return typeof kind === 'string' ? kind : 'none';
}

export class Reference {
  readonly complaints: string[] = [];
  /** Borrowers who have not heard yet, in the order in which they asked. */
  readonly queue: Ask[] = [];
  readonly held = new Map<ScriptedSession, ScriptedLease>();
  readonly ended: ScriptedLease[] = [];
  readonly happened = new Map<Happening, number>();
  /** How often the server turned out to be another one. */
  failovers = 0;
  readonly refused = new Map<Reason, number>(REASONS.map((reason) => [reason, 0]));
  requests = 0;
  granted = 0;
  returns = 0;
  min: number;
  max: number;
  /** What `open()` and `ready()` failed with: those who wait for a failed opening get the same. */
  readonly openFailures = new Set<unknown>();
  #ceiling: number;
  #asks = 0;
  #unjudged: Ask[] = [];
  #paused: 'wait' | 'reject' | undefined;
  #everRejected = false;
  #revocableFrom: number | undefined;
  readonly #rules: Rules;
  readonly #lives = new Map<ScriptedSession, Life>();
  readonly #silent = new Map<ScriptedLease, Silent>();
  /** Dials and failovers in one order: which sessions a failover is about. */
  #order = 0;
  #lastFailover = 0;
  readonly #dialled = new Map<ScriptedSession, number>();
  readonly #now: () => number;

  constructor(rules: Rules, now: () => number) {
    this.#rules = rules;
    this.#now = now;
    this.min = rules.min;
    this.max = rules.max;
    this.#ceiling = rules.max;
  }

  get borrowers(): number {
    return this.queue.length + this.held.size;
  }

  complain(text: string): void {
    this.complaints.push(text);
  }

  happens(name: Happening): void {
    count(this.happened, name);
  }

  // What the borrowers do and hear.

  asked(timeoutMs: number, signal: AbortSignal | undefined, holdMs: number | undefined, nosy = false): Ask {
    this.#asks += 1;
    this.requests += 1;
    const ask: Ask = {
      id: this.#asks,
      since: this.#now(),
      timeoutMs,
      signal,
      holdMs,
      nosy,
      state: 'waiting',
      settledAt: 0,
      error: undefined,
      overtakenAt: undefined,
      overtakenByStanding: false,
      blockedMs: 0,
      ahead: this.queue.length,
    };
    this.queue.push(ask);
    return ask;
  }

  served(ask: Ask, lease: ScriptedLease, standing = false): void {
    this.#settle(ask, 'granted');
    // Who stands hears in the turn of the hand-over, whoever has a promise a little later.
    const sameTurn = (this.#rules.nosy !== undefined || ask.overtakenByStanding) && ask.overtakenAt === this.#now();
    if (ask.overtakenAt !== undefined && !sameTurn)
      this.complain(`borrower ${ask.id} was overtaken at ${ask.overtakenAt}`);
    if (ask.signal?.aborted) this.complain(`borrower ${ask.id} was served after its abort`);
    if (!ask.nosy) {
      for (const earlier of this.queue) {
        if (earlier.id > ask.id || earlier.overtakenAt !== undefined) continue;
        earlier.overtakenAt = this.#now();
        earlier.overtakenByStanding = standing;
      }
    }
    this.#lent(lease);
  }

  /** `tryAcquire()` gave one at once. */
  tried(lease: ScriptedLease): void {
    this.requests += 1;
    const overtaken = this.queue.filter((ask) => !ask.nosy).length;
    if (overtaken > 0) this.complain(`tryAcquire() overtook ${overtaken} borrowers`);
    this.#lent(lease);
  }

  turnedAway(ask: Ask, error: unknown): void {
    this.#settle(ask, 'refused');
    ask.error = error;
    this.#unjudged.push(ask);
  }

  /** The borrower gives back; the session is at the engine's disposal from now on. */
  gaveBack(lease: ScriptedLease): void {
    this.ended.push(lease);
    this.#noteRevoked(this.#now());
    this.#silent.delete(lease);
    if (this.held.get(lease.session) !== lease) return;
    this.held.delete(lease.session);
    this.returns += 1;
    this.proven(lease.session, false);
    const life = this.#lives.get(lease.session);
    if (life !== undefined) life.undone = false;
  }

  /** It came back with an error after which it must not be used again. */
  condemned(session: ScriptedSession, others: Condemnation['others']): void {
    const life = this.#lives.get(session);
    if (life !== undefined) life.lendableUntil = -Infinity;
    this.happens(`condemned: ${others}`);
    if (others === 'suspect' && this.#rules.check !== 'never' && this.#rules.nosy === undefined) {
      for (const [other, its] of this.#lives) if (!this.held.has(other)) its.suspect = true;
    }
    if (others !== 'replace') return;
    // Born before the last failover: condemned by that one, and nothing new.
    if ((this.#dialled.get(session) ?? 0) < this.#lastFailover) {
      this.happens('condemned by the same failover');
      return;
    }
    this.#order += 1;
    this.#lastFailover = this.#order;
    this.failovers += 1;
    this.replaced(0);
  }

  /** A statement runs, and nothing is heard of it. */
  silenced(lease: ScriptedLease, doing: Doing): void {
    this.#silent.set(lease, { since: this.#now(), doing, answered: false, answeredAt: undefined });
  }

  /** Something is heard of whatever runs there. */
  spoke(lease: ScriptedLease): void {
    this.#silent.delete(lease);
  }

  /** What the server knows of the session that has this process id; where nothing was said, it works. */
  doing(pid: number): Doing {
    for (const [lease, { doing }] of this.#silent) if (lease.session.pid === pid) return doing;
    return 'working';
  }

  /** The statements of these sessions that had been silent for long enough by then. */
  silentAt(pids: readonly number[], at: number): Silent[] {
    return [...this.#silent]
      .filter(([{ session }, { since }]) => pids.includes(session.pid) && since + this.#rules.silentAfterMs <= at)
      .map(([, silent]) => silent);
  }

  /** The server was asked about these, and the answer is there. */
  answered(asked: readonly Silent[], inTime: boolean): void {
    for (const [lease, silent] of this.#silent) {
      if (!asked.includes(silent) || !lease.session.alive) continue;
      silent.answered = true;
      if (!inTime) continue;
      silent.answeredAt ??= this.#now();
      this.happens(`silent: ${silent.doing}`);
    }
  }

  // What happens around the pool.

  /** A connect of the pool's begins; the order is that of all dials and failovers. */
  dialling(): number {
    this.#order += 1;
    return this.#order;
  }

  dialled(session: ScriptedSession, order: number): void {
    this.#dialled.set(session, order);
  }

  /** It is ready, or configured anew after all it had set was undone. */
  born(session: ScriptedSession): void {
    const now = this.#now();
    const life = this.#lives.get(session);
    if (life !== undefined) {
      life.configured = true;
      this.proven(session, false);
      return;
    }
    this.#lives.set(session, {
      bornAt: now,
      lastProofAt: now,
      lends: 0,
      proofs: 0,
      lendableUntil: Infinity,
      suspect: false,
      undone: true,
      configured: true,
    });
  }

  /** All that it had set is undone. */
  undone(session: ScriptedSession): void {
    const life = this.#lives.get(session);
    if (life === undefined) return;
    life.undone = true;
    life.configured = !this.#rules.configure;
  }

  /** It answered; `asked` tells whether for that purpose: a ping, or the user's check that found it good. */
  proven(session: ScriptedSession, asked: boolean): void {
    const life = this.#lives.get(session);
    if (life === undefined) return;
    life.lastProofAt = this.#now();
    life.suspect = false;
    if (asked) life.proofs += 1;
  }

  killed(session: ScriptedSession): void {
    const lease = this.held.get(session);
    this.held.delete(session);
    if (lease !== undefined && kindOf(lease.fault) !== 'CONNECTION_LOST') {
      this.complain(`lease ${lease.id} does not know that its session was killed`);
    }
  }

  blocked(ms: number): void {
    for (const ask of this.queue) ask.blockedMs += ms;
  }

  resized(min: number, max: number): void {
    this.#ceiling = Math.max(this.#ceiling, max);
    this.min = min;
    this.max = max;
  }

  /** Sessions that exist now, or are on their way, are old. */
  replaced(overMs: number): void {
    const until = this.#now() + overMs;
    for (const life of this.#lives.values()) life.lendableUntil = Math.min(life.lendableUntil, until);
  }

  paused(borrowers: 'wait' | 'reject'): void {
    this.#paused = borrowers;
    if (borrowers === 'reject') this.#everRejected = true;
  }

  resumed(): void {
    this.#paused = undefined;
  }

  /** `close()` was called: leases may be taken away from then on, not before. */
  closing(revocableFrom: number): void {
    this.#paused = undefined;
    this.#revocableFrom = Math.min(this.#revocableFrom ?? Infinity, revocableFrom);
  }

  // What must hold whenever everything has settled.

  audit(s: Sight): void {
    this.#judgeRefusals(s);
    this.#noteRevoked(s.now);
    const sum = s.parts.reduce((total, part) => total + part, 0);
    if (sum !== s.size) this.complain(`the states add up to ${sum}, size is ${s.size}`);
    if (s.parts.some((part) => part < 0)) this.complain(`a count is negative: ${s.parts.join(', ')}`);
    if (s.size > this.#ceiling) this.complain(`size ${s.size} with max ${this.max} (ceiling ${this.#ceiling})`);
    if (s.sockets > s.size + s.writtenOff + s.probes) {
      this.complain(`${s.sockets} sockets in ${s.size} slots, and ${s.probes} probes`);
    }
    if (s.probes > 0 && this.#rules.silentAfterMs === Infinity) this.complain('a probe although nobody is to be asked');
    for (const [lease, { doing, answeredAt = Infinity }] of this.#silent) {
      const dead = doing === 'gone' || doing === 'idle';
      const asks = s.phase !== 'closing' && s.phase !== 'closed';
      if (dead && s.now > answeredAt + CUT_MS && asks && this.held.get(lease.session) === lease) {
        this.complain(`lease ${lease.id} is silent, the server said "${doing}", and nothing came of it`);
      }
    }
    this.#ceiling = Math.max(this.max, Math.min(this.#ceiling, s.size));
    if (s.min !== this.min || s.max !== this.max) this.complain(`min ${s.min}, max ${s.max} after a resize`);
    const mine = [...this.held.values()].map((lease) => lease.id).sort((a, b) => a - b);
    const theirs = [...s.holders].sort((a, b) => a - b);
    if (mine.join() !== theirs.join()) {
      this.complain(`the pool says that leases [${theirs.join()}] are out, it gave borrowers [${mine.join()}]`);
    }
    if (s.lent !== this.held.size) this.complain(`${s.lent} slots are lent, borrowers hold ${this.held.size}`);
    if (s.waiting !== this.queue.length) {
      this.complain(`the pool says that ${s.waiting} wait, ${this.queue.length} have not heard yet`);
    }
    if (s.waiting > this.#rules.maxWaiting) this.complain(`${s.waiting} wait, maxWaiting ${this.#rules.maxWaiting}`);
    if (s.idle > 0 && s.waiting > s.checksUnderWay && s.phase !== 'paused') {
      this.complain(`${s.waiting} wait while ${s.idle} are idle and ${s.checksUnderWay} being checked`);
    }
    for (const ask of this.queue) this.#auditWaiting(ask, s.now);
  }

  #auditWaiting(ask: Ask, now: number): void {
    if (ask.overtakenAt !== undefined) this.complain(`borrower ${ask.id} was overtaken at ${ask.overtakenAt}`);
    if (ask.signal?.aborted) this.complain(`borrower ${ask.id} waits on after its abort`);
    // What a late timer lost, and the same again given back; a millisecond for the rounding up.
    const dueAt = ask.since + ask.timeoutMs + 2 * ask.blockedMs + 1;
    if (now > dueAt) this.complain(`borrower ${ask.id} waits at ${now}, its deadline was ${dueAt}`);
  }

  #settle(ask: Ask, state: 'granted' | 'refused'): void {
    if (ask.state !== 'waiting') this.complain(`borrower ${ask.id} was ${state} after it had been ${ask.state}`);
    ask.state = state;
    ask.settledAt = this.#now();
    const at = this.queue.indexOf(ask);
    if (at >= 0) this.queue.splice(at, 1);
  }

  #lent(lease: ScriptedLease): void {
    const { session } = lease;
    const now = this.#now();
    const name = `session ${session.pid}`;
    this.granted += 1;
    if (this.held.has(session)) this.complain(`${name} was lent twice`);
    this.held.set(session, lease);
    if (!session.alive) this.complain(`${name} was lent dead`);
    if (session.status !== 'idle') this.complain(`${name} was lent with status ${session.status}`);
    if (this.#paused !== undefined) this.complain(`${name} was lent while the pool is paused`);
    const life = this.#lives.get(session);
    if (life === undefined) {
      this.complain(`${name} was lent before it was ready`);
      return;
    }
    if (now > life.lendableUntil) this.complain(`${name} was lent although it was to be replaced`);
    if (now >= life.bornAt + this.#rules.maxLifetimeMs)
      this.complain(`${name} was lent at the age of ${now - life.bornAt}`);
    if (life.lends >= this.#rules.maxUses) this.complain(`${name} was lent more than ${life.lends} times`);
    if (life.suspect) this.complain(`${name} was lent although it is suspect`);
    const { check, checkAfterIdleMs, reset } = this.#rules;
    if (reset === 'tracked' && session.dirty === true) this.complain(`${name} was lent dirty`);
    const mayBeDirty = reset === 'discard' || (reset === 'tracked' && session.dirty === undefined);
    if (mayBeDirty && !life.undone) this.complain(`${name} was lent with what its last borrower left behind`);
    if (!life.configured) this.complain(`${name} was lent without having been configured again`);
    if (check === 'stale' && now - life.lastProofAt > checkAfterIdleMs) {
      this.complain(`${name} was lent stale, unseen for ${now - life.lastProofAt} ms`);
    }
    if ((check === 'always' || check === 'custom') && life.proofs === 0) this.complain(`${name} was lent unchecked`);
    life.lends += 1;
    life.proofs = 0;
  }

  #noteRevoked(now: number): void {
    for (const [session, lease] of this.held) {
      const kind = kindOf(lease.fault);
      if (kind === 'none') continue;
      this.held.delete(session);
      const silent = this.#silent.get(lease);
      this.#silent.delete(lease);
      if (kind === 'CONNECTION_LOST' && silent !== undefined) {
        this.#lostInSilence(lease, silent, now);
        continue;
      }
      const allowed = kind === 'LEASE_REVOKED' && this.#revocableFrom !== undefined && now >= this.#revocableFrom;
      if (!allowed) this.complain(`lease ${lease.id} was ended for no reason: ${kind}`);
    }
  }

  #lostInSilence(lease: ScriptedLease, { answered, doing, since }: Silent, now: number): void {
    this.happens('lost in silence');
    const name = `lease ${lease.id}`;
    if (!answered) this.complain(`${name} was ended for its silence, without an answer of the server's`);
    if (doing !== 'gone' && doing !== 'idle') this.complain(`${name} was ended although the server said "${doing}"`);
    if (now - since < this.#rules.silentAfterMs) this.complain(`${name} was ended after ${now - since} ms of silence`);
  }

  /** Once everybody has heard: each refusal must have its cause. */
  #judgeRefusals(s: Sight): void {
    const asks = this.#unjudged;
    this.#unjudged = [];
    for (const ask of asks) {
      const reason = this.#reasonOf(ask, s);
      if (reason === undefined) {
        this.complain(`borrower ${ask.id} was refused without a cause: ${String(ask.error)}`);
        continue;
      }
      this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
      if (ask.overtakenAt !== undefined && ask.settledAt > ask.overtakenAt) {
        this.complain(`borrower ${ask.id} was overtaken at ${ask.overtakenAt}, refused at ${ask.settledAt}`);
      }
    }
  }

  #reasonOf(ask: Ask, s: Sight): Reason | undefined {
    const { error } = ask;
    if (this.openFailures.has(error)) return 'connect';
    if (ask.signal?.aborted && error === ask.signal.reason) return 'aborted';
    switch (kindOf(error)) {
      case 'POOL_TIMEOUT':
        return ask.settledAt >= ask.since + ask.timeoutMs ? 'timeout' : undefined;
      case 'POOL_CLOSED':
        return s.phase === 'closing' || s.phase === 'closed' || !this.#rules.autoOpen ? 'closed' : undefined;
      case 'POOL_PAUSED':
        return this.#everRejected ? 'paused' : undefined;
      case 'POOL_QUEUE_FULL':
        return ask.ahead >= this.#rules.maxWaiting ? 'queue-full' : undefined;
      case 'POOL_CONNECT_FAILED':
        return 'connect';
      default:
        return undefined;
    }
  }
}
