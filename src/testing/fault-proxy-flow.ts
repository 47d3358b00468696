// One direction of a proxied connection: what came from one socket waits here for its turn to be written to the other. Owns
// everything that can go wrong on that way; knows neither who accepted the sockets nor what their bytes mean.

import type { Socket } from 'node:net';
import type { Timer } from '../contracts/clock.ts';
import { systemClock } from '../foundation/system-clock.ts';

/** How one side ended: in order (FIN) or by a reset (RST). */
export type Ending = 'fin' | 'reset';

interface Piece {
  readonly content: Buffer | Ending;
  /** Not written before this time. */
  readonly due: number;
}

interface Limit {
  bytes: number;
  readonly reached: () => void;
}

export class Flow {
  /** Bytes that came in, that were written to the other side, and that vanished. */
  received = 0;
  passed = 0;
  lost = 0;
  readonly #to: Socket | undefined;
  readonly #ended: (ending: Ending) => void;
  readonly #waiting: Piece[] = [];
  #timer: Timer | undefined;
  #stalled = false;
  #lossy: boolean;
  #hidesEnding = false;
  #hidden: Ending | undefined;
  #delayMs = 0;
  #limit: Limit | undefined;

  /** Without a target everything vanishes. `ended` is called when the other side is about to be told of an ending. */
  constructor(to: Socket | undefined, ended: (ending: Ending) => void = () => {}) {
    this.#to = to;
    this.#ended = ended;
    this.#lossy = to === undefined;
  }

  /** Bytes that wait here. */
  get held(): number {
    return this.#waiting.reduce((sum, { content }) => sum + (typeof content === 'string' ? 0 : content.length), 0);
  }

  /** Whether an ending would be kept from the other side. */
  get withholdsEnding(): boolean {
    return this.#stalled || this.#lossy || this.#hidesEnding;
  }

  take(content: Buffer | Ending): void {
    if (typeof content !== 'string') this.received += content.length;
    this.#waiting.push({ content, due: systemClock.now() + this.#delayMs });
    this.#pump();
  }

  stall(): void {
    this.#stalled = true;
  }

  /** Resolves when what had waited is written. */
  async resume(): Promise<void> {
    this.#stalled = false;
    this.#pump();
    await this.flushed();
  }

  /** From now on everything vanishes, what waits here included. */
  drop(): void {
    this.#lossy = true;
    this.#pump();
  }

  /** The other side will not learn that this one ended. */
  hideEnding(): void {
    this.#hidesEnding = true;
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Passes exactly `bytes` more and holds the rest; `reached` is called when they are written. */
  limit(bytes: number, reached: () => void): void {
    this.#limit = { bytes, reached };
    if (bytes <= 0) this.#reach();
  }

  /** Undoes every fault: what waits is written, a hidden ending is told. What vanished stays lost. */
  async heal(): Promise<void> {
    this.#lossy = this.#to === undefined;
    this.#hidesEnding = false;
    this.#delayMs = 0;
    this.#limit = undefined;
    const hidden = this.#hidden;
    this.#hidden = undefined;
    if (hidden !== undefined) this.#waiting.push({ content: hidden, due: 0 });
    await this.resume();
  }

  /** Resolves when the system has taken what was written so far. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#to?.writable === true) this.#to.write('', () => resolve());
      else resolve();
    });
  }

  /** Nothing will be written any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#waiting.length = 0;
  }

  #pump(): void {
    this.#timer?.cancel();
    while (!this.#stalled || this.#lossy) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      const early = next.due - systemClock.now();
      if (early > 0 && !this.#lossy) {
        this.#timer = systemClock.timer(early, () => this.#pump());
        return;
      }
      this.#waiting.shift();
      if (typeof next.content === 'string') this.#end(next.content);
      else this.#write(next.content);
    }
  }

  #write(bytes: Buffer): void {
    if (this.#lossy || this.#to?.writable !== true) {
      this.lost += bytes.length;
      return;
    }
    const limit = this.#limit;
    const now = limit === undefined ? bytes : bytes.subarray(0, limit.bytes);
    this.passed += now.length;
    this.#to.write(now);
    if (limit === undefined) return;
    limit.bytes -= now.length;
    if (limit.bytes > 0) return;
    if (now.length < bytes.length) this.#waiting.unshift({ content: bytes.subarray(now.length), due: 0 });
    this.#reach();
  }

  #reach(): void {
    const limit = this.#limit;
    this.#limit = undefined;
    this.#stalled = true;
    if (limit !== undefined) void this.flushed().then(limit.reached);
  }

  #end(ending: Ending): void {
    if (this.#lossy || this.#hidesEnding) {
      this.#hidden = ending;
      return;
    }
    if (this.#to === undefined || this.#to.destroyed) return;
    this.#ended(ending);
    if (ending === 'fin') this.#to.end();
    else abruptly(this.#to);
  }
}

/**
 * Sends an RST where the socket is one of TCP; others know no such thing and are only closed. So is one whose end is under way: Node
 * cannot reset it, and it would never close.
 */
export function abruptly(socket: Socket): void {
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket.remoteFamily === undefined || ending) socket.destroy();
  else socket.resetAndDestroy();
}
