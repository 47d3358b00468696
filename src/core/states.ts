// The states of a slot, the one table of legal moves, and the counts that follow from them. Owns nothing else: why a slot
// moves is decided by others. This is the page to hold in mind when reading the engine:
//
//   opening ──→ idle ──→ lent ──→ returning ──→ idle
//      │          └──→ returning (checked)       │        every state but gone counts towards max
//      └──────────────→ closing ←────────────────┘
//                          └──→ gone

export const State = { opening: 0, idle: 1, lent: 2, returning: 3, closing: 4, gone: 5 } as const;

export type State = (typeof State)[keyof typeof State];

const CLOSING = State.closing;

export const STATE_NAMES = ['opening', 'idle', 'lent', 'returning', 'closing', 'gone'] as const;

/** For each state the states it may move to, as bits. */
const LEGAL: readonly number[] = [
  (1 << State.idle) | (1 << State.closing),
  (1 << State.lent) | (1 << State.returning) | (1 << State.closing),
  (1 << State.returning) | (1 << State.closing),
  (1 << State.idle) | (1 << State.closing),
  1 << State.gone,
  0,
];

function illegal(from: State, to: State): Error {
  return new Error(`illegal move of a slot: ${STATE_NAMES[from]} to ${STATE_NAMES[to]}`);
}

export interface Stateful {
  state: State;
}

/** Keeps how many slots are in each state; the only place where a state is assigned. */
export class StateBook {
  readonly #counts = [0, 0, 0, 0, 0, 0];
  /** Sessions that exist or are being made or unmade: what `max` limits. */
  size = 0;
  /** As `size`, without those on their way out. */
  living = 0;

  /** How many slots are in `state`. `gone` counts all that ever went. */
  count(state: State): number {
    return this.#counts[state] as number;
  }

  /** Enters a new slot, which starts as `opening`. */
  enter(slot: Stateful): void {
    slot.state = State.opening;
    this.#counts[State.opening] = this.count(State.opening) + 1;
    this.size += 1;
    this.living += 1;
  }

  move(slot: Stateful, to: State): void {
    const from = slot.state;
    if (((LEGAL[from] as number) & (1 << to)) === 0) throw illegal(from, to);
    const counts = this.#counts;
    counts[from] = (counts[from] as number) - 1;
    counts[to] = (counts[to] as number) + 1;
    slot.state = to;
    if (to >= CLOSING) this.#leaving(to);
  }

  /** Every way out leads through closing. */
  #leaving(to: State): void {
    if (to === State.closing) this.living -= 1;
    else this.size -= 1;
  }
}
