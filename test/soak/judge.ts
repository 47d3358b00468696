// The judge of a soak: what borrowers saw, what they were answered, which rows they were promised and how long they waited. Owns the
// closed list of violations; whose pool it was makes no difference to it.

import type { Weather } from './weather.ts';

/** What must never happen, whoever's the pool. */
export const VIOLATIONS = [
  'lent to two at once',
  'lent in an open or failed transaction',
  'lent with an unread reply',
  "answered with somebody else's reply",
  "a cancel hit somebody else's statement",
  "somebody else's settings were there",
  'a request hung',
  'an acquire was answered too late',
  'an acknowledged row was lost',
  'a row was there that was never committed',
  'more sockets than max',
  'more sessions than max',
  'a connection never came back',
  'not at full service after the last fault',
  'an error of an unexpected kind',
  'a promise of the contract was broken',
  'the process would have crashed',
  "an operator's verb failed or never ended",
  'end() failed or never ended',
  'sockets or sessions were left behind',
] as const;
export type ViolationKind = (typeof VIOLATIONS)[number];

/** How a request may end, in words that every pool's errors can be put into. */
export const FAILURES = [
  'no connection in time',
  'connect failed',
  'connection lost',
  'query timed out',
  'aborted',
  'refused while paused',
  'rolled back',
  'cancelled',
  'in a failed transaction',
  'SQL error',
  'used after release',
  'unexpected',
] as const;
export type Failure = (typeof FAILURES)[number];

/** Brought about by what is done to the pool: whoever asks may be told. */
const BY_FAULT: ReadonlySet<Failure> = new Set([
  'no connection in time',
  'connect failed',
  'connection lost',
  'query timed out',
  'refused while paused',
]);

/** Something was seen that must never be seen. */
export class Violation extends Error {
  readonly kind: ViolationKind;

  constructor(kind: ViolationKind, detail: string) {
    super(detail);
    this.kind = kind;
  }
}

/** A statement whose error its borrower has dealt with: the request is over, and nothing is wrong. */
export const ABORTED: Error = new Error('aborted by its borrower');

const EXAMPLES_KEPT = 3;

export interface Rules {
  readonly classify: (error: unknown) => Failure;
  readonly watchdogMs: number;
  /** How long an acquire may take. */
  readonly acquireTimeoutMs: number;
  readonly slackMs: number;
}

export class Judge {
  asked = 0;
  served = 0;
  hung = 0;
  readonly failed: Partial<Record<Failure, number>> = {};
  readonly failedInCalm: Partial<Record<Failure, number>> = {};
  readonly violations: Partial<Record<ViolationKind, number>> = {};
  readonly examples: string[] = [];
  /** By the borrower's name: how many were answered. */
  readonly borrowers: Record<string, number> = {};
  /** Rows whose COMMIT was answered; rows of which nobody can know; rows that were never committed. */
  readonly acknowledged = new Set<string>();
  readonly inDoubt = new Set<string>();
  readonly forbidden = new Set<string>();
  /** How long acquires took, served or refused. */
  readonly waits: { readonly calm: number[]; readonly rough: number[] } = { calm: [], rough: [] };
  readonly #weather: Weather;
  readonly #rules: Rules;
  readonly #holders = new Map<number, string[]>();
  readonly #lag = new Lag();
  #rows = 0;

  constructor(weather: Weather, rules: Rules) {
    this.#weather = weather;
    this.#rules = rules;
  }

  /** For how long the event loop has been away so far. */
  get awayMs(): number {
    return this.#lag.sum;
  }

  violation(kind: ViolationKind, detail: string, count = 1): void {
    this.violations[kind] = (this.violations[kind] ?? 0) + count;
    const shown = this.examples.filter((text) => text.startsWith(kind)).length;
    if (shown < EXAMPLES_KEPT) this.examples.push(`${kind}: ${detail}`);
  }

  /** Runs one request to its answer, or until nobody believes in one any more. True if it was served. */
  async request(name: string, work: () => Promise<void>): Promise<boolean> {
    this.asked += 1;
    this.borrowers[name] = (this.borrowers[name] ?? 0) + 1;
    const began = performance.now();
    let watchdog: NodeJS.Timeout | undefined;
    const hung = new Promise<'hung'>((resolve) => {
      watchdog = setTimeout(() => resolve('hung'), this.#rules.watchdogMs);
    });
    try {
      const done = work();
      done.catch(() => {}); // of one that hung and failed later nobody hears
      if ((await Promise.race([done, hung])) === 'hung') {
        this.hung += 1;
        this.violation('a request hung', `"${name}" had no answer after ${this.#rules.watchdogMs} ms`);
        return false;
      }
      this.served += 1;
      return true;
    } catch (error) {
      this.#failed(name, error, began);
      return false;
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** A wait for a connection, as the borrower sees it: not longer than the time it had, the loop's own absence given back. */
  async acquire<T>(timeoutMs: number | undefined, ask: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const lag = this.#lag.sum;
    try {
      return await ask();
    } finally {
      const tookMs = performance.now() - began;
      // Who gives up early says nothing about how long one has to wait.
      if (timeoutMs === undefined) this.waits[this.#weather.roughSince(began) ? 'rough' : 'calm'].push(tookMs);
      const allowed = (timeoutMs ?? this.#rules.acquireTimeoutMs) + this.#lag.sum - lag + this.#rules.slackMs;
      if (tookMs > allowed) {
        this.violation('an acquire was answered too late', `after ${tookMs | 0} ms, ${allowed | 0} ms were allowed`);
      }
    }
  }

  /** Somebody holds the session with this process id, until the returned function is called. */
  hold(pid: number, name: string): () => void {
    const others = this.#holders.get(pid) ?? [];
    if (others.length > 0) this.violation('lent to two at once', `${pid} to "${others.join('", "')}" and to "${name}"`);
    this.#holders.set(pid, [...others, name]);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = this.#holders.get(pid) ?? [];
      left.splice(left.indexOf(name), 1);
      if (left.length === 0) this.#holders.delete(pid);
    };
  }

  /** A statement without a lease ran in this session just now. */
  ranAlone(pid: number, name: string): void {
    const holders = this.#holders.get(pid);
    if (holders !== undefined) {
      this.violation('lent to two at once', `${pid} to "${holders.join('", "')}" and to a query of "${name}"`);
    }
  }

  get held(): readonly number[] {
    return [...this.#holders.keys()];
  }

  newRow(): string {
    this.#rows += 1;
    return `row-${this.#rows}`;
  }

  forbiddenRow(): string {
    const id = this.newRow();
    this.forbidden.add(id);
    return id;
  }

  /** An insert whose answer decides what may be found. */
  async promised(insert: (id: string) => Promise<unknown>): Promise<void> {
    const id = this.newRow();
    this.inDoubt.add(id);
    try {
      await insert(id);
    } catch (error) {
      if (this.#rules.classify(error) === 'rolled back') {
        this.inDoubt.delete(id);
        this.forbidden.add(id);
      }
      throw error;
    }
    this.inDoubt.delete(id);
    this.acknowledged.add(id);
  }

  stop(): void {
    this.#lag.stop();
  }

  #failed(name: string, error: unknown, began: number): void {
    if (error instanceof Violation) {
      this.failed.unexpected = (this.failed.unexpected ?? 0) + 1;
      this.violation(error.kind, `"${name}": ${error.message}`);
      return;
    }
    const failure = this.#rules.classify(error);
    this.failed[failure] = (this.failed[failure] ?? 0) + 1;
    if (!this.#weather.roughSince(began)) this.failedInCalm[failure] = (this.failedInCalm[failure] ?? 0) + 1;
    if (BY_FAULT.has(failure)) return;
    // Whoever brings about one of these by itself catches it, or is ABORTED.
    if (error === ABORTED) return;
    const kind: ViolationKind =
      failure === 'cancelled'
        ? "a cancel hit somebody else's statement"
        : failure === 'in a failed transaction'
          ? 'lent in an open or failed transaction'
          : 'an error of an unexpected kind';
    this.violation(kind, `"${name}": ${described(error)}`);
  }
}

/** How long the event loop was not there. */
class Lag {
  static readonly #STEP_MS = 20;
  #sum = 0;
  #last = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => this.#look(), Lag.#STEP_MS);
    this.#timer.unref();
  }

  /** Counted since the beginning; only differences say something. */
  get sum(): number {
    this.#look();
    return this.#sum;
  }

  #look(): void {
    const now = performance.now();
    this.#sum += Math.max(0, now - this.#last - Lag.#STEP_MS);
    this.#last = now;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

export function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = Reflect.get(error, 'code');
  const cause = error.cause instanceof Error ? ` (cause: ${error.cause.message})` : '';
  return `${error.name} ${code === undefined ? '' : String(code)}: ${error.message}${cause}`.replaceAll(/\s+/g, ' ');
}
