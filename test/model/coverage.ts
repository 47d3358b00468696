// What the sequences of one run have reached, counted. Owns the spy on the one function that moves a slot; the legal moves
// are read off that function too, so that a new one cannot be forgotten here.

import { STATE_NAMES, State, StateBook, type Stateful } from '../../src/core/states.ts';

const ALL: readonly State[] = Object.values(State);

const nameOf = (from: State, to: State): string => `${STATE_NAMES[from]} → ${STATE_NAMES[to]}`;

function isLegal(from: State, to: State): boolean {
  try {
    new StateBook().move({ state: from }, to);
    return true;
  } catch {
    return false;
  }
}

/** The refusals that the engine can produce today. */
export const REASONS = ['timeout', 'aborted', 'closed', 'paused', 'queue-full', 'connect'] as const;
export type Reason = (typeof REASONS)[number];

/** What the sequences must reach besides. */
export const HAPPENINGS = [
  'condemned: keep',
  'condemned: suspect',
  'condemned: replace',
  'condemned by the same failover',
  'tracked: clean',
  'tracked: dirty',
  'tracked: unknown',
  'a restore that went wrong',
  'silent: gone',
  'silent: idle',
  'silent: working',
  'silent: unknown',
  'a question without an answer',
  'asked through one of the pool',
  'asked through a probe',
  'a probe that did not open',
  'lost in silence',
  'stood, and was handed a connection',
  'stood, and was refused',
  'permit: waited for',
  'permit: granted late',
  'permit: refused',
  'permit: yielded by one that nobody needed',
  'permit: yielded although somebody waited',
  'proof: at once',
  'proof: after a while',
  'proof: wanted no longer',
  'proof: given up',
  'proof: failed',
  'proof: can never succeed',
  'proof: refused',
] as const;
export type Happening = (typeof HAPPENINGS)[number];

const legalMoves = ALL.flatMap((from) => ALL.filter((to) => isLegal(from, to)).map((to) => nameOf(from, to)));

export class Coverage {
  readonly moves: Map<string, number> = new Map(legalMoves.map((name) => [name, 0]));
  readonly refusals: Map<string, number> = new Map(REASONS.map((reason) => [reason, 0]));
  readonly happenings: Map<string, number> = new Map(HAPPENINGS.map((name) => [name, 0]));
  readonly retired: Map<string, number> = new Map();
  readonly commands: Map<string, number> = new Map();
  sequences = 0;
  /** Sequences of full length in which at least three borrowers held or waited at one time. */
  crowded = 0;
  performed = 0;
  granted = 0;

  table(): string {
    const rows = (title: string, counts: Map<string, number>): string[] => [
      `${title}:`,
      ...[...counts].map(([name, count]) => `  ${name.padEnd(30)} ${String(count).padStart(9)}`),
    ];
    return [
      `sequences ${this.sequences}, of full length and with three or more borrowers at a time ${this.crowded}`,
      `commands ${this.performed}, connections handed over ${this.granted}`,
      ...rows('transitions', this.moves),
      ...rows('refusals', this.refusals),
      ...rows('happenings', this.happenings),
      ...rows('retired', this.retired),
      ...rows('commands', this.commands),
    ].join('\n');
  }
}

export function count(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

/** Watches every move of every slot; there is one engine at a time. */
export class MoveSpy {
  readonly #original: StateBook['move'];

  constructor(coverage: Coverage) {
    const original = StateBook.prototype.move;
    this.#original = original;
    StateBook.prototype.move = function (this: StateBook, slot: Stateful, to: State): void {
      const { state } = slot;
      original.call(this, slot, to);
      count(coverage.moves, nameOf(state, to));
    };
  }

  undo(): void {
    StateBook.prototype.move = this.#original;
  }
}
