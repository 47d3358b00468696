// When the event loop was kept from turning, as late timers tell it afterwards. Owns what was blocked when, and whether that was work or the
// whole process standing still; measures nothing itself and sets no timer.

/** Blocks that are remembered; older ones have explained whatever they could. */
const KEPT = 32;
/** From this long on the process may have been stopped, and not merely busy. */
export const STOPPED_MS = 1_000;
/** Whoever computes meanwhile uses at least this part of the time. */
const BUSY = 0.1;

interface Block {
  from: number;
  to: number;
  /** Of the processor, meanwhile. */
  usedMs: number;
}

/** What the loop was kept from, seen from a moment. */
export interface LoopReading {
  readonly blockedMs: number;
  /** The last time that the process stood still: for how long, and how long ago that ended. */
  readonly frozen: { readonly forMs: number; readonly agoMs: number } | undefined;
}

export class LoopLog {
  readonly #blocks: Block[] = [];
  readonly #cpu: () => number | undefined;
  #cpuThen: number | undefined;
  #frozen: { forMs: number; until: number } | undefined;

  /** `cpu`: milliseconds of the processor that the process has used; undefined where nobody knows. */
  constructor(cpu: () => number | undefined) {
    this.#cpu = cpu;
    this.#cpuThen = cpu();
  }

  /** A timer came in time. */
  turned(): void {
    this.#cpuThen = this.#cpu();
  }

  /** A timer came `lateMs` too late. Several that were kept up by one block are one block. */
  late(lateMs: number, now: number): void {
    const block = this.#blockFrom(now - lateMs, now);
    const then = this.#cpuThen;
    this.#cpuThen = this.#cpu();
    // What the first of those timers saw of it none of the others will see.
    if (then === undefined || this.#cpuThen === undefined) block.usedMs = 0;
    else block.usedMs += this.#cpuThen - then;
    const forMs = block.to - block.from;
    if (forMs >= STOPPED_MS && block.usedMs < forMs * BUSY) this.#frozen = { forMs, until: now };
  }

  #blockFrom(from: number, now: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && from <= last.to) {
      last.from = Math.min(last.from, from);
      last.to = now;
      return last;
    }
    const block: Block = { from, to: now, usedMs: 0 };
    this.#blocks.push(block);
    if (this.#blocks.length > KEPT) this.#blocks.shift();
    return block;
  }

  /** The wall clock went on by `ms` more than the monotonic one: the machine slept. */
  slept(ms: number, now: number): void {
    this.#frozen = { forMs: ms, until: now };
  }

  /** Since `since`. */
  read(since: number, now: number): LoopReading {
    let blockedMs = 0;
    for (const { from, to } of this.#blocks) blockedMs += Math.max(0, to - Math.max(from, since));
    const frozen = this.#frozen;
    return {
      blockedMs,
      frozen: frozen === undefined ? undefined : { forMs: frozen.forMs, agoMs: now - frozen.until },
    };
  }
}
