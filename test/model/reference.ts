// The reference pool: what a pool may and must do, told from outside. Owns a queue of borrowers, who holds what, and the
// bounds; it predicts nothing of the engine's tactics and shares no code with it. It hears what was asked for and what came
// of it, and complains about whatever no correct pool could have done.

import type { ScriptedSession } from '../../src/testing/scripted-driver.ts';
import type { ScriptedLease } from '../kit/rig.ts';
import { REASONS, type Reason } from './coverage.ts';

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
  /** Not to be lent later than this: a `replaceAll()` was asked for. */
  lendableUntil: number;
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
  readonly min: number;
  readonly max: number;
  readonly holders: readonly number[];
  /** Checks whose answer may still come in time. */
  readonly checksUnderWay: number;
}

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
      blockedMs: 0,
      ahead: this.queue.length,
    };
    this.queue.push(ask);
    return ask;
  }

  served(ask: Ask, lease: ScriptedLease): void {
    this.#settle(ask, 'granted');
    const sameTurn = this.#rules.nosy !== undefined && ask.overtakenAt === this.#now();
    if (ask.overtakenAt !== undefined && !sameTurn)
      this.complain(`borrower ${ask.id} was overtaken at ${ask.overtakenAt}`);
    if (ask.signal?.aborted) this.complain(`borrower ${ask.id} was served after its abort`);
    if (!ask.nosy) {
      for (const earlier of this.queue) if (earlier.id < ask.id) earlier.overtakenAt ??= this.#now();
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
    if (this.held.get(lease.session) !== lease) return;
    this.held.delete(lease.session);
    this.returns += 1;
    this.proven(lease.session, false);
  }

  // What happens around the pool.

  born(session: ScriptedSession): void {
    const now = this.#now();
    this.#lives.set(session, { bornAt: now, lastProofAt: now, lends: 0, proofs: 0, lendableUntil: Infinity });
  }

  /** It answered; `asked` tells whether for that purpose: a ping, or the user's check that found it good. */
  proven(session: ScriptedSession, asked: boolean): void {
    const life = this.#lives.get(session);
    if (life === undefined) return;
    life.lastProofAt = this.#now();
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
    if (s.sockets > s.size + s.writtenOff) this.complain(`${s.sockets} sockets in ${s.size} slots`);
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
    const { check, checkAfterIdleMs } = this.#rules;
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
      const allowed = kind === 'LEASE_REVOKED' && this.#revocableFrom !== undefined && now >= this.#revocableFrom;
      if (!allowed) this.complain(`lease ${lease.id} was ended for no reason: ${kind}`);
    }
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
