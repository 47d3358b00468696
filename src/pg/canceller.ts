// Brings what runs on one session to its end (DESIGN B8, B12). Owns the fence: while a cancel request is on its way nothing is begun on the
// session, nobody takes it for idle, and it hits the statement that is meant and no other.

import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import type { Clock } from '../contracts/clock.ts';
import { detached } from '../foundation/system-clock.ts';
import { type CancelTarget, sendCancel } from './cancel.ts';
import type { Exchange } from './exchange.ts';
import type { Outstanding } from './outstanding.ts';
import type { PgInternals } from './shapes.ts';
import { step } from './steps.ts';

/** After how long without a reply a cancel request is sent again. */
const CANCEL_AGAIN_MS = 100;

export class Canceller {
  /** A cancel under way: resolves true if a statement still ran. */
  settling: Promise<boolean> | undefined = undefined;
  readonly #inside: PgInternals;
  readonly #outstanding: Outstanding;
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #stream: (() => Socket) | undefined;
  readonly #busy: () => boolean;
  readonly #cancels = new AbortController();
  /** What is begun in the very turn in which the cancel under way has ended, before anybody can take the session for idle. */
  readonly #whenSettled: (() => void)[] = [];

  /** `stream` makes the sockets, if Node does not; `busy` tells whether the session is. */
  constructor(
    inside: PgInternals,
    outstanding: Outstanding,
    exchange: Exchange,
    clock: Clock,
    stream: (() => Socket) | undefined,
    busy: () => boolean,
  ) {
    this.#inside = inside;
    this.#outstanding = outstanding;
    this.#exchange = exchange;
    this.#clock = clock;
    this.#stream = stream;
    this.#busy = busy;
  }

  /** The session is cut: what is on its way is given up. */
  stop(): void {
    this.#cancels.abort();
  }

  /** Ends all that runs and all that is queued; resolves true if something still ran. */
  settle(): Promise<boolean> {
    if (this.settling === undefined) return this.#settleBy(() => this.#settle());
    // What was only held back meanwhile is to end too.
    const again = (): boolean | Promise<boolean> => (this.#busy() ? this.settle() : true);
    return this.settling.then(again, again);
  }

  /** Ends one statement and no other: what was not begun is not sent, what is queued behind it waits until the cancel has arrived. */
  giveUp(statement: unknown): Promise<unknown> {
    const outstanding = this.#outstanding;
    if (outstanding.withdraw(statement)) return Promise.resolve();
    if (this.settling !== undefined) return this.settling;
    // On its way with others, which cannot be told apart by a cancel.
    if (outstanding.isSent(statement)) return this.settle();
    if (outstanding.current !== statement) return Promise.resolve();
    const release = outstanding.hold();
    return this.#settleBy(() => this.#settle().finally(release));
  }

  /**
   * Calls `begin`, which never throws, at once or when the cancel under way has arrived: it would hit what is begun before. What pg is kept
   * from beginning may join the others there, whose order is that in which they were asked.
   */
  whenSettled(begin: () => void): void {
    if (this.settling === undefined || this.#outstanding.holding) begin();
    else this.#whenSettled.push(AsyncResource.bind(begin));
  }

  #settleBy(work: () => Promise<boolean>): Promise<boolean> {
    // Its sockets and timers are of no request.
    this.settling = detached(() =>
      work().finally(() => {
        this.settling = undefined;
        for (const begin of this.#whenSettled.splice(0)) begin();
      }),
    );
    return this.settling;
  }

  async #settle(): Promise<boolean> {
    if (!this.#busy()) return false;
    const over = !this.#outstanding.active && this.#outstanding.queued === 0;
    const reply = this.#outstanding.none();
    // When the cancel fails nobody waits for it any more, and the end of the session must not become an unhandled rejection.
    reply.catch(() => {});
    if (over) {
      this.#exchange.finish();
      await step('reply', reply);
      return false;
    }
    // A request that overtook its statement hit nothing, and one hits one of several that are queued: it is sent again until
    // all has been read.
    for (let over = false; !over; ) {
      if (!this.#exchange.finish()) await step('cancel', sendCancel(this.#cancelTarget(), this.#cancels.signal));
      over = await step('reply', this.#within(reply, CANCEL_AGAIN_MS));
    }
    return true;
  }

  /** Whether `reply` came within `ms`; rejects if it never will. */
  #within(reply: Promise<void>, ms: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const late = this.#clock.timer(ms, () => resolve(false));
      reply.finally(() => late.cancel()).then(() => resolve(true), reject);
    });
  }

  #cancelTarget(): CancelTarget {
    const { host, port, processID, secretKey, ssl, sslNegotiation } = this.#inside;
    if (processID === null || secretKey === null) throw new Error('the server gave no key to cancel with');
    const { remoteAddress } = this.#inside.connection.stream;
    const tls =
      ssl === false || ssl === undefined
        ? undefined
        : { name: host, options: ssl, direct: sslNegotiation === 'direct' };
    const stream = this.#stream;
    // Through a tunnel the address is that of its other end; the name is what it was told.
    const address = stream === undefined ? (remoteAddress ?? host) : host;
    return { host: address, port, pid: processID, secretKey, stream, tls };
  }
}
