// Which errors condemn the connection on which they came (DESIGN B11): a pure table over SQLSTATE, and what the user put over it. Socket
// errors and whatever the server ends a session with need no table: such a session is lost.
// The classes are those of the PostgreSQL manual, appendix A; which of them ask for a new connection: docs/reference/errors.md.

import { OptionError } from '../contracts/errors.ts';

/**
 * `keep`: the connection stays. `replace`: it is replaced when it comes back. `suspect`: and the idle ones are asked for a proof of life.
 * `replace-all`: and every other one is replaced too.
 */
export type Sentence = 'keep' | 'replace' | 'suspect' | 'replace-all';

/** By SQLSTATE, or by its first two characters for a whole class. */
export type Sentences = Readonly<Record<string, Sentence>>;

const SENTENCES: readonly Sentence[] = ['keep', 'replace', 'suspect', 'replace-all'];

const DEFAULTS: Sentences = {
  // Connection exceptions: the two sides have lost each other.
  '08': 'replace',
  // Ended by an administrator, a crash, a start-up, a dropped database, an idle-session timeout.
  '57P01': 'suspect',
  '57P02': 'suspect',
  '57P03': 'suspect',
  '57P04': 'replace',
  '57P05': 'replace',
  // Idle-in-transaction and transaction timeouts.
  '25P03': 'replace',
  '25P04': 'replace',
  // A write refused by what was a primary when the connection was made: another host is that now.
  '25006': 'replace-all',
};

/** Checks what the user gave as option `condemn`. */
export function readSentences(given: unknown): Sentences {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionError('condemn', given, "an object of SQLSTATEs, such as { '25006': 'keep' }");
  }
  for (const [code, sentence] of Object.entries(given)) {
    if (!/^[0-9A-Z]{2}(?:[0-9A-Z]{3})?$/.test(code)) {
      throw new OptionError(
        `condemn.${code}`,
        sentence,
        'an SQLSTATE of five characters as the key, or a class of two',
      );
    }
    if (!SENTENCES.includes(sentence)) {
      throw new OptionError(`condemn.${code}`, sentence, SENTENCES.map((word) => `'${word}'`).join(', '));
    }
  }
  return { ...given };
}

/** What an error with this code means for its connection. */
export function sentenceOf(code: string, own: Sentences): Sentence {
  const kind = code.slice(0, 2);
  return own[code] ?? own[kind] ?? DEFAULTS[code] ?? DEFAULTS[kind] ?? 'keep';
}

/** Whether the user himself decided about this code. */
export function isOwn(code: string, own: Sentences): boolean {
  return own[code] !== undefined || own[code.slice(0, 2)] !== undefined;
}

const READ_ONLY = /^\s*(?:begin|start|set)\b[^;]*(?:\b|_)read[\s_]+only\b/i;
const FOR_THE_SESSION = /\b(?:session\s+characteristics|default_transaction_read_only)\b/i;

/** What a statement says about writing in what follows it: nothing, not in this transaction, or not in this session. */
export type ReadOnly = 'no' | 'transaction' | 'session';

export function declaresReadOnly(text: string): ReadOnly {
  if (!READ_ONLY.test(text)) return 'no';
  return FOR_THE_SESSION.test(text) ? 'session' : 'transaction';
}
