// Those who use the pool in a case. Owns what each of them may expect: to be settled in time, with an answer that is its own, or with
// an error whose reason really happened.

import type { QueryResult } from 'pg';
import {
  ConnectionLostError,
  LeaseError,
  type Pool,
  PoolClosedError,
  PoolTimeoutError,
  QueryTimeoutError,
} from '../../../src/doors/index.ts';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { WireServer } from './server.ts';
import { marked } from './statements.ts';

export interface Expectation {
  /** It is settled within this time, whatever happens. */
  readonly withinMs: number;
  /** Its own deadline, before which it may not be told of one. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** It gave back a connection on which its statement still ran: that is cancelled by its own doing. */
  readonly leavesBusy?: boolean;
  /** The mark that its answer repeats. */
  readonly value?: string;
  /** The mark of its last statement: what a lost connection is told of. */
  readonly last?: string;
}

export class Actor {
  readonly name: string;
  readonly since: number;
  readonly expects: Expectation;
  /** What a blocked loop may cost it: being late, and as much given back. */
  allowanceMs = 0;
  settled = false;
  error: unknown;
  /** It asked when the pool was refusing already. */
  excused = false;

  constructor(name: string, since: number, expects: Expectation) {
    this.name = name;
    this.since = since;
    this.expects = expects;
  }

  get dueAt(): number {
    return this.since + this.expects.withinMs + this.allowanceMs;
  }

  get served(): boolean {
    return this.settled && this.error === undefined;
  }
}

export class Actors {
  readonly all: Actor[] = [];
  closed = false;
  readonly #pool: Pool;
  readonly #clock: VirtualClock;
  readonly #server: WireServer;
  readonly #complain: (violation: string) => void;

  constructor(pool: Pool, clock: VirtualClock, server: WireServer, complain: (violation: string) => void) {
    this.#pool = pool;
    this.#clock = clock;
    this.#server = server;
    this.#complain = complain;
  }

  get allSettled(): boolean {
    return this.all.every(({ settled }) => settled);
  }

  /** Sends one query through the pool; every other one by the extended protocol. */
  query(name: string, timeoutMs: number, signal?: AbortSignal): Actor {
    const text = marked(this.all.length % 2 === 0 ? 'select 1' : 'select $1', `${name}#1`);
    const values = this.all.length % 2 === 0 ? undefined : ['x'];
    const query = { text, timeoutMs, ...(signal && { signal }), ...(values && { values }) };
    const expects = { withinMs: timeoutMs, timeoutMs, value: `${name}#1`, ...(signal && { signal }) };
    return this.watch(name, this.#pool.query(query), expects);
  }

  /** Somebody who does something with the pool. */
  watch(name: string, work: Promise<unknown>, expects: Expectation): Actor {
    const actor = new Actor(name, this.#clock.now(), expects);
    actor.excused = this.closed;
    this.all.push(actor);
    work.then(
      (value) => this.#answered(actor, value),
      (error: unknown) => this.#refused(actor, error),
    );
    return actor;
  }

  /** The loop was blocked for so long. */
  blocked(ms: number): void {
    for (const actor of this.all) if (!actor.settled) actor.allowanceMs += 2 * ms;
  }

  audit(): void {
    const now = this.#clock.now();
    for (const { name, settled, dueAt } of this.all) {
      if (!settled && now > dueAt) this.#complain(`${name} still waits ${now - dueAt} ms after its deadline`);
    }
  }

  /** What can only be said when everything is over. */
  sum(): void {
    for (const [mark, count] of this.#server.begun) {
      if (count > 1) this.#complain(`the statement of ${mark} was run ${count} times`);
    }
    for (const { name, error, expects } of this.all) {
      const mayHave = error instanceof ConnectionLostError ? error.mayHaveExecuted : true;
      if (!mayHave && (this.#server.begun.get(expects.last ?? `${name}#1`) ?? 0) > 0)
        this.#complain(`${name} was told that its statement had not been executed, but it was`);
    }
  }

  #answered(actor: Actor, value: unknown): void {
    actor.settled = true;
    const { name, expects } = actor;
    this.#late(actor);
    if (expects.value === undefined) return;
    const [row] = (value as QueryResult<{ c0?: string }>).rows;
    if (row?.c0 !== expects.value) this.#complain(`${name} got the answer ${JSON.stringify(row)}`);
  }

  #refused(actor: Actor, error: unknown): void {
    actor.settled = true;
    actor.error = error ?? new Error('refused with nothing');
    this.#late(actor);
    const why = this.#unjust(actor, error);
    if (why !== undefined) this.#complain(`${actor.name} ${why}: ${String(error)}`);
  }

  #late({ name, dueAt }: Actor): void {
    const now = this.#clock.now();
    if (now > dueAt) this.#complain(`${name} was settled ${now - dueAt} ms after its deadline`);
  }

  /** Why this error should not have come; undefined if all is well. */
  #unjust({ name, since, expects }: Actor, error: unknown): string | undefined {
    const { signal, timeoutMs = Infinity } = expects;
    if (signal?.aborted === true && error === signal.reason) return undefined;
    if (error instanceof PoolTimeoutError || error instanceof QueryTimeoutError) {
      const early = since + timeoutMs - this.#clock.now();
      return early > 0 ? `timed out ${early} ms before its deadline` : undefined;
    }
    if (error instanceof PoolClosedError) return this.closed ? undefined : 'was told of a close that nobody asked for';
    if (error instanceof LeaseError) {
      return this.closed || signal?.aborted === true ? undefined : 'was told of a revocation that nobody asked for';
    }
    const died = this.#server.backends.some(({ alive, socket }) => !alive || socket.destroyed);
    if (error instanceof ConnectionLostError) return died ? undefined : 'was told of a loss that did not happen';
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (typeof code === 'string' && code.length === 5) {
      const told = [...this.#server.told].some(([mark, codes]) => mark.startsWith(`${name}#`) && codes.has(code));
      const own = code !== '57014' || this.closed || signal?.aborted === true || expects.leavesBusy === true;
      if (told && own) return undefined;
      if (died && code === '57P01') return undefined;
      return told ? 'was cancelled without having asked for it' : 'got the error of another statement';
    }
    // What pg says of a client that has lost its connection.
    if (died && error instanceof Error) return undefined;
    return 'was refused for no reason of its own';
  }
}
