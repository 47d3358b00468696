// What the borrowers of one pool were answered, and which rows they were promised. Owns the closed list of failures that the soak
// brings about on purpose; anything else is unexpected and named.

import { isOxbowError } from '../../src/doors/index.ts';

/** What a borrower may be told, because the soak did something to it. */
const BROUGHT_ABOUT: ReadonlySet<string> = new Set([
  'CONNECTION_LOST',
  'POOL_TIMEOUT',
  'POOL_PAUSED',
  'QUERY_TIMEOUT',
  'aborted',
  'raw client lost',
]);

/** Thrown by a borrower that saw something which must never be seen. */
export class Violation extends Error {}

/** The connection of a raw client died; pg's own error says so in words only. */
export class RawClientLost extends Error {}

/** The reason of every abort. */
export const ABORTED: Error = new Error('aborted by its borrower');

export class Tally {
  asked = 0;
  served = 0;
  readonly failed: Record<string, number> = {};
  readonly violations: string[] = [];
  readonly unexpected: string[] = [];
  /** Rows whose COMMIT was answered; rows of which nobody can know; rows that were never committed. */
  readonly acknowledged = new Set<string>();
  readonly inDoubt = new Set<string>();
  readonly forbidden = new Set<string>();

  /** Runs one request to its answer. */
  async request(name: string, work: () => Promise<void>): Promise<void> {
    this.asked += 1;
    try {
      await work();
      this.served += 1;
    } catch (error) {
      const kind = kindOf(error);
      this.failed[kind] = (this.failed[kind] ?? 0) + 1;
      if (error instanceof Violation) this.violations.push(`${name}: ${error.message}`);
      else if (!BROUGHT_ABOUT.has(kind)) this.unexpected.push(`${name}: ${described(error)}`);
    }
  }
}

function kindOf(error: unknown): string {
  if (error === ABORTED) return 'aborted';
  if (error instanceof Violation) return 'violation';
  if (error instanceof RawClientLost) return 'raw client lost';
  return isOxbowError(error) ? error.kind : 'unexpected';
}

function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = Reflect.get(error, 'code');
  return `${error.name} ${String(code)}: ${error.message}`;
}
