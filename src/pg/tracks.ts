// What the statements of one session have left behind in it, or may have (DESIGN B9). Owns the sum of it and what undoes it; what a single
// text may leave behind is known elsewhere.

import { Trace, traceOf } from './traces.ts';

/** Distinct texts remembered; a service has some hundreds, and one that writes values into its texts must not fill the memory. */
const REMEMBERED = 2_000;

/** What a text may leave behind, looked at once per text. Shared by all sessions of a pool. */
export class TraceMemory {
  readonly #known = new Map<string, number>();

  of(text: string): number {
    let trace = this.#known.get(text);
    if (trace === undefined) {
      trace = traceOf(text);
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      this.#known.set(text, trace);
    }
    return trace;
  }
}

/**
 * In one text, thus one round trip. As DISCARD ALL, but named statements stay, which are dear, and RESET ROLE comes after the
 * authorization: a role that the user's own settings give him (ALTER ROLE … SET role) is not lost.
 */
const SOFT =
  'CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); ' +
  'DISCARD TEMP; DISCARD SEQUENCES';
const HARD = `${SOFT}; DEALLOCATE ALL; DISCARD PLANS`;

export class Tracks {
  readonly #memory: TraceMemory;
  #traces: number = Trace.none;

  constructor(memory: TraceMemory) {
    this.#memory = memory;
  }

  get dirty(): boolean {
    return this.#traces !== Trace.none;
  }

  /** The statement that undoes it. */
  get remedy(): string {
    return (this.#traces & Trace.unknown) === 0 ? SOFT : HARD;
  }

  /** A statement is run; undefined: nobody knows which. */
  running(text: string | undefined): void {
    this.#traces |= text === undefined ? Trace.unknown : this.#memory.of(text);
  }

  /** All is as it shall be. */
  clear(): void {
    this.#traces = Trace.none;
  }
}
