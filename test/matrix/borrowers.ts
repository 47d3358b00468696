// Those who ask for connections in a case. Owns what each of them may expect: to be settled in time, in order, for a reason
// that really happened, and to hold what nobody else holds, at rest.

import { ConnectError, PoolClosedError, PoolPausedError, PoolTimeoutError } from '../../src/contracts/errors.ts';
import type { ScriptedSession } from '../../src/testing/scripted-driver.ts';
import type { Rig, ScriptedLease } from '../kit/rig.ts';
import type { Complain } from './scripted-ports.ts';

/** How long a served borrower keeps what it got. */
const HOLD_MS = 20;

export interface Asking {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly holdMs?: number;
}

export class Borrower {
  readonly name: string;
  readonly since: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** What a blocked loop may cost it beyond its deadline: being late, and as much given back. */
  allowanceMs = 0;
  lease: ScriptedLease | undefined;
  error: unknown;
  settled = false;
  /** It asked when the pool was refusing already. */
  excused = false;
  /** It gave back what it got, or lost it. */
  done = false;

  constructor(name: string, since: number, asking: Asking) {
    this.name = name;
    this.since = since;
    this.timeoutMs = asking.timeoutMs;
    this.signal = asking.signal;
  }

  get dueAt(): number {
    return this.since + this.timeoutMs + this.allowanceMs;
  }
}

export class Borrowers {
  readonly all: Borrower[] = [];
  /** What has happened that a refusal may be due to. */
  readonly excuses = { closed: false, paused: false, connect: false };
  readonly #rig: Rig;
  readonly #complain: Complain;
  readonly #outstanding: (session: ScriptedSession) => boolean;

  constructor(rig: Rig, complain: Complain, outstanding: (session: ScriptedSession) => boolean) {
    this.#rig = rig;
    this.#complain = complain;
    this.#outstanding = outstanding;
  }

  /** Leases that are out and have not been lost. */
  get holding(): ScriptedLease[] {
    const held: ScriptedLease[] = [];
    for (const { lease, done } of this.all)
      if (lease !== undefined && !done && lease.fault === undefined) held.push(lease);
    return held;
  }

  get allSettled(): boolean {
    return this.all.every((borrower) => borrower.settled);
  }

  get allDone(): boolean {
    return this.all.every((borrower) => borrower.done || borrower.lease?.fault !== undefined);
  }

  ask(name: string, asking: Asking): Borrower {
    const { clock, engine } = this.#rig;
    const borrower = new Borrower(name, clock.now(), asking);
    borrower.excused = this.excuses.closed || this.excuses.paused;
    this.all.push(borrower);
    engine.acquire({ acquireTimeoutMs: asking.timeoutMs, signal: asking.signal }).then(
      (lease) => this.#served(borrower, lease, asking.holdMs ?? HOLD_MS),
      (error: unknown) => this.#refused(borrower, error),
    );
    return borrower;
  }

  /** Somebody who has held a connection since before. */
  adopt(name: string, lease: ScriptedLease): Borrower {
    const borrower = new Borrower(name, this.#rig.clock.now(), { timeoutMs: Infinity });
    borrower.settled = true;
    borrower.lease = lease;
    this.all.push(borrower);
    return borrower;
  }

  giveBack(borrower: Borrower): void {
    borrower.done = true;
    if (borrower.lease?.released === false) borrower.lease.release();
  }

  /** The loop was blocked for so long. */
  blocked(ms: number): void {
    for (const borrower of this.all) if (!borrower.settled) borrower.allowanceMs += 2 * ms;
  }

  audit(): void {
    const now = this.#rig.clock.now();
    for (const borrower of this.all) {
      if (!borrower.settled && now > borrower.dueAt) {
        this.#complain(`${borrower.name} still waits ${now - borrower.dueAt} ms after its deadline`);
      }
    }
  }

  #served(borrower: Borrower, lease: ScriptedLease, holdMs: number): void {
    const now = this.#rig.clock.now();
    const { name } = borrower;
    const { session } = lease;
    for (const other of this.all) {
      if (other === borrower) break;
      // Who has aborted or timed out has left the queue, and may hear it a microtask later.
      const left = other.signal?.aborted === true || now >= other.since + other.timeoutMs;
      if (!other.settled && !left) this.#complain(`${name} overtook ${other.name}`);
    }
    for (const held of this.holding) if (held.session === session) this.#complain(`${name} got what another one holds`);
    if (session.status !== 'idle' && lease.fault === undefined) {
      this.#complain(`${name} got a session in status ${session.status}`);
    }
    if (lease.fault === undefined && this.#outstanding(session)) {
      this.#complain(`${name} got a session with an answer outstanding`);
    }
    if (now > borrower.dueAt) this.#complain(`${name} was served ${now - borrower.dueAt} ms after its deadline`);
    borrower.settled = true;
    borrower.lease = lease;
    this.#rig.clock.timer(holdMs, () => this.giveBack(borrower));
  }

  #refused(borrower: Borrower, error: unknown): void {
    const now = this.#rig.clock.now();
    const { name, signal } = borrower;
    borrower.settled = true;
    borrower.done = true;
    borrower.error = error;
    if (now > borrower.dueAt) this.#complain(`${name} was refused ${now - borrower.dueAt} ms after its deadline`);
    if (error instanceof PoolTimeoutError) {
      const early = borrower.since + borrower.timeoutMs - now;
      if (early > 0) this.#complain(`${name} timed out ${early} ms before its deadline`);
    } else if (error instanceof PoolClosedError) {
      if (!this.excuses.closed) this.#complain(`${name} was told of a close that nobody asked for`);
    } else if (error instanceof PoolPausedError) {
      if (!this.excuses.paused) this.#complain(`${name} was told of a pause that nobody asked for`);
    } else if (error instanceof ConnectError) {
      if (!this.excuses.connect || error.transient) this.#complain(`${name} was told of a connect: ${error.message}`);
    } else if (!(signal?.aborted && error === signal.reason)) {
      this.#complain(`${name} was refused for no reason of its own: ${String(error)}`);
    }
  }
}
