// What the threads of a process know of each other: one shared array. Owns its layout and the atomic steps on it; decides nothing, waits
// for nothing, tells nobody.
//
// Each permit is a cell stamped with its owner's row, so that those of a thread that died can be found by whoever hears of the death. Only
// the pool whose row it is writes in it. A thread can be ended between any two steps: the first cell that is written and the last that is
// wiped says whose the row is.

import type { Claim } from './fair-share.ts';

const VERSION = 1;
/** Cells of the head: the layout's version, the limit, the last ticket, how many rows have ever been in use. */
const HEAD = { version: 0, limit: 1, lastTicket: 2, rows: 3 } as const;
const HEAD_CELLS = 4;
/**
 * Cells of a row. `thread` is its thread's id and one, since the first has the id 0 and a free row says 0; `ticket` is its place in the line; `promised` permits are on their way back for others; `beat` changes each time it looks for one; from `above` on stand the threads above its own.
 */
const ROW = { thread: 0, held: 1, want: 2, hungry: 3, promised: 4, ticket: 5, needs: 6, beat: 7, above: 8 } as const;
/** How many of the threads above are written down. */
const ABOVE_CELLS = 5;
const ROW_CELLS = ROW.above + ABOVE_CELLS;
/** Pools that can share one budget at a time: two in each of 128 threads. The rows take 12 KiB. */
export const MAX_MEMBERS = 256;

/** What the others can see of a member. */
export interface MemberView {
  readonly row: number;
  readonly held: number;
  readonly want: number;
  /** It has wanted one for so long that others give way. */
  readonly hungry: boolean;
  readonly promised: number;
  readonly ticket: number;
  /** How many of those it holds it cannot do without. */
  readonly needs: number;
  /** Another one each time that it looks whether there is a permit for it. */
  readonly beat: number;
}

/** What a member asks for. What it said of its needs may be old: it cannot need more than it still has. */
export function claimOf({ held, needs, want }: MemberView): Claim {
  return { demand: Math.min(held, needs) + want };
}

export class ThreadMemory {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  /** New memory for this many permits, or a view of one that is there. Throws if it is none of ours. */
  constructor(limitOrBuffer: number | SharedArrayBuffer) {
    if (typeof limitOrBuffer === 'number') {
      const cells = HEAD_CELLS + ROW_CELLS * MAX_MEMBERS + limitOrBuffer;
      this.buffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * cells);
      this.#cells = new Int32Array(this.buffer);
      this.#cells[HEAD.version] = VERSION;
      this.#cells[HEAD.limit] = limitOrBuffer;
      return;
    }
    this.buffer = limitOrBuffer;
    this.#cells = new Int32Array(limitOrBuffer);
    const version = this.#cells[HEAD.version];
    if (version !== VERSION)
      throw new Error(
        `a thread budget of layout ${VERSION} was expected, found ${version}: two versions of oxbow meet`,
      );
  }

  get limit(): number {
    return this.#load(HEAD.limit);
  }

  /** Permits that somebody has. */
  get used(): number {
    let used = 0;
    for (let n = 0; n < this.limit; n += 1) if (this.#load(this.#permit(n)) !== 0) used += 1;
    return used;
  }

  /** A row for a pool of this thread, whose ancestors are `above`, the nearest first; undefined if all are in use. */
  enter(thread: number, above: readonly number[] = []): number | undefined {
    for (let row = 0; row < MAX_MEMBERS; row += 1) {
      if (Atomics.compareExchange(this.#cells, this.#at(row, 'thread'), 0, thread + 1) !== 0) continue;
      for (const [n, one] of above.slice(0, ABOVE_CELLS).entries())
        Atomics.store(this.#cells, this.#at(row, 'above') + n, one + 1);
      for (let rows = this.#load(HEAD.rows); rows <= row; rows = this.#load(HEAD.rows))
        Atomics.compareExchange(this.#cells, HEAD.rows, rows, row + 1);
      return row;
    }
    return undefined;
  }

  /** Frees a row and whatever its member still has; returns how many permits that were. */
  clear(row: number): number {
    let freed = 0;
    for (let n = 0; n < this.limit; n += 1)
      if (Atomics.compareExchange(this.#cells, this.#permit(n), row + 1, 0) === row + 1) freed += 1;
    for (let cell = ROW_CELLS - 1; cell >= 0; cell -= 1)
      Atomics.store(this.#cells, HEAD_CELLS + row * ROW_CELLS + cell, 0);
    return freed;
  }

  /** As `clear()` for every pool of a thread that is gone, and of those below it, which went with it; whether there was one. */
  clearThread(thread: number): boolean {
    let found = false;
    // A thread may be further below than the cells reach: then one between them may tell of it.
    const gone = new Set([thread + 1]);
    for (let before = 0; before !== gone.size; ) {
      before = gone.size;
      for (let row = 0; row < MAX_MEMBERS; row += 1) {
        const its = this.#load(this.#at(row, 'thread'));
        if (its === 0) continue;
        for (let n = 0; n < ABOVE_CELLS; n += 1) if (gone.has(this.#load(this.#at(row, 'above') + n))) gone.add(its);
      }
    }
    for (let row = 0; row < MAX_MEMBERS; row += 1) {
      if (!gone.has(this.#load(this.#at(row, 'thread')))) continue;
      this.clear(row);
      found = true;
    }
    return found;
  }

  /** Takes a permit for the pool of `row`, if one is free. */
  take(row: number): boolean {
    for (let n = 0; n < this.limit; n += 1) {
      if (Atomics.compareExchange(this.#cells, this.#permit(n), 0, row + 1) !== 0) continue;
      Atomics.add(this.#cells, this.#at(row, 'held'), 1);
      this.goLast(row);
      return true;
    }
    return false;
  }

  /** The pool of `row` stands behind all others. */
  goLast(row: number): void {
    this.#store(row, 'ticket', Atomics.add(this.#cells, HEAD.lastTicket, 1) + 1);
  }

  /** Gives one back; false if the pool of `row` has none. */
  give(row: number): boolean {
    for (let n = 0; n < this.limit; n += 1) {
      if (Atomics.compareExchange(this.#cells, this.#permit(n), row + 1, 0) !== row + 1) continue;
      Atomics.sub(this.#cells, this.#at(row, 'held'), 1);
      return true;
    }
    return false;
  }

  /** Says of the pool of `row` what the others are to see. */
  tell(row: number, seen: Partial<Pick<MemberView, 'want' | 'hungry' | 'promised' | 'needs'>>): void {
    const { want, hungry, promised, needs } = seen;
    if (want !== undefined) this.#store(row, 'want', want);
    if (hungry !== undefined) this.#store(row, 'hungry', hungry ? 1 : 0);
    if (promised !== undefined) this.#store(row, 'promised', promised);
    if (needs !== undefined) this.#store(row, 'needs', needs);
  }

  /** The pool of `row` lives, and looks for a permit. */
  beat(row: number): void {
    Atomics.add(this.#cells, this.#at(row, 'beat'), 1);
  }

  held(row: number): number {
    return this.#load(this.#at(row, 'held'));
  }

  /** Everybody who shares now, those first who took one longest ago, or had their turn then. */
  members(): MemberView[] {
    const members: MemberView[] = [];
    for (let row = 0; row < this.#load(HEAD.rows); row += 1) {
      if (this.#load(this.#at(row, 'thread')) === 0) continue;
      const cell = (name: keyof typeof ROW): number => this.#load(this.#at(row, name));
      members.push({
        row,
        held: cell('held'),
        want: cell('want'),
        hungry: cell('hungry') !== 0,
        promised: cell('promised'),
        ticket: cell('ticket'),
        needs: cell('needs'),
        beat: cell('beat'),
      });
    }
    // The numbers begin anew from below when there are no higher ones.
    return members.sort((one, other) => (one.ticket - other.ticket) | 0);
  }

  #at(row: number, cell: keyof typeof ROW): number {
    return HEAD_CELLS + row * ROW_CELLS + ROW[cell];
  }

  #permit(n: number): number {
    return HEAD_CELLS + MAX_MEMBERS * ROW_CELLS + n;
  }

  #load(at: number): number {
    return Atomics.load(this.#cells, at);
  }

  #store(row: number, cell: keyof typeof ROW, value: number): void {
    Atomics.store(this.#cells, this.#at(row, cell), value);
  }
}
