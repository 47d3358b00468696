// What the errors of one session mean for the session itself: whether it must not be used again, and why. Owns the memory that this
// needs: what the server was when the connection was made, and whether its borrower asked for a read-only transaction.

import type { Condemnation } from '../contracts/driver.ts';
import { isOwn, type ReadOnly, type Sentences, sentenceOf } from './condemn.ts';
import type { ServerError } from './shapes.ts';

/** What a server is to its clients, as it says itself (from PostgreSQL 14 on). */
export type Role = 'primary' | 'standby' | 'unknown';

const WRITE_REFUSED = '25006';

export class Verdict {
  condemnation: Condemnation | undefined;
  readonly #role: Role;
  readonly #own: Sentences;
  #readOnly: ReadOnly = 'no';

  /** `role` is the server's at birth. */
  constructor(role: Role, own: Sentences) {
    this.#role = role;
    this.#own = own;
  }

  /** A statement is sent that says so. */
  sending(declared: ReadOnly): void {
    if (declared !== 'no' && this.#readOnly !== 'session') this.#readOnly = declared;
  }

  /** It is at rest outside a transaction. */
  atRest(): void {
    if (this.#readOnly === 'transaction') this.#readOnly = 'no';
  }

  error({ code, message }: ServerError): void {
    if (code === undefined || this.condemnation !== undefined) return;
    let sentence = sentenceOf(code, this.#own);
    if (code === WRITE_REFUSED && !isOwn(code, this.#own)) {
      // It may have been asked to refuse, or never have taken writes.
      if (this.#readOnly !== 'no' || this.#role === 'standby') sentence = 'keep';
      // Not known to have ever been a primary: then nothing is known of the others.
      else if (this.#role === 'unknown') sentence = 'replace';
    }
    if (sentence === 'keep') return;
    const others = sentence === 'replace-all' ? 'replace' : sentence === 'suspect' ? 'suspect' : 'keep';
    this.condemnation = { why: `the server said ${code}: ${message ?? ''}`.trimEnd(), others };
  }
}

/** The role by the parameters that the server reported at the start of the session. */
export function roleOf(parameters: ReadonlyMap<string, string>): Role {
  const standby = parameters.get('in_hot_standby');
  if (standby === undefined) return 'unknown';
  // Whoever is set to refuse writes is, for this purpose, as good as a standby.
  return standby === 'on' || parameters.get('default_transaction_read_only') === 'on' ? 'standby' : 'primary';
}
