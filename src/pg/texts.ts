// What is known of the texts that a pool's queries have: read once per text. Owns the memory of them and its bounds, how often each was
// used, and the names under which they are prepared; what a single connection knows of these is known there.

import { declaresReadOnly, type ReadOnly } from './condemn.ts';
import type { Shape } from './row-shape.ts';
import { readSql } from './sql-tokens.ts';

/** psycopg's rule: what is used so often is worth a name. */
const USES_BEFORE_A_NAME = 5;

/** Longer ones carry their data in themselves and hardly come again. */
const LONGEST = 16_384;

/** Distinct texts in each of two generations: a service has some hundreds. */
const GENERATION = 1_000;

/** After so many statements that were prepared and are not there, something stands in between that gives each statement another server. */
const VANISHED_MAX = 3;

/** What is planned once prepared, and changes no definition. */
const PLANNED = new Set('select values table with insert update delete merge'.split(' '));
const WRITING: readonly string[] = ['insert', 'update', 'delete', 'merge'];
/** What is sent as it is. */
const PLAIN = new Set('begin start commit end rollback abort savepoint release set show'.split(' '));

/** What a literal may say of a date or time means the moment at which it is parsed: prepared, it would stay that for ever. */
const DATED = /\b(?:now|today|tomorrow|yesterday)\b(?!\s*\()/i;

export interface Text {
  readonly text: string;
  /** One statement of a kind that the codec speaks: its reply holds nothing but rows and the word that it is complete. */
  readonly ordinary: boolean;
  /** How many parameters it has. */
  readonly parameters: number;
  /** Its plan may be kept on the server. */
  readonly planned: boolean;
  readonly declares: ReadOnly;
  /** Its reply may hold rows in the simple protocol that it does not hold in the other: those of a rule. */
  readonly ruled: boolean;
  /** A star, or TABLE, in it may stand for all columns: what it gives changes with the table. */
  readonly starred: boolean;
  /** How often it was used. */
  uses: number;
  /** The name under which it is prepared by itself, once it has one. */
  name: string | undefined;
  /** What its rows looked like the last time. */
  shape: Shape | undefined;
  /** The first word of the server's report that it is complete. */
  command: string | undefined;
}

function read(text: string): Text {
  const reading = text.length > LONGEST || text.includes('\0') ? undefined : readSql(text, true);
  const statements = reading?.statements.filter((one) => one.length > 0) ?? [];
  const [tokens = []] = statements;
  const first = tokens.find(({ kind, text: mark }) => kind !== 'mark' || mark !== '(');
  const verb = first?.kind === 'word' ? first.text : '';
  const ordinary = statements.length === 1 && reading?.twofold === false && (PLANNED.has(verb) || PLAIN.has(verb));
  // The INTO of a SELECT makes a table.
  const into =
    (verb === 'select' || verb === 'with') && tokens.some(({ kind, text: word }) => kind === 'word' && word === 'into');
  const starred = tokens.some(
    ({ text: mark }, at) => mark === 'table' || (mark === '*' && tokens[at - 1]?.text !== '('),
  );
  const parameters = tokens.some(({ kind }) => kind === 'parameter') ? highest(text) : 0;
  // Without parameters it goes out in the simple protocol, in which a rule of the table may answer with rows, and in the other it may not.
  const writes = (word: string): boolean => tokens.some(({ kind, text: one }) => kind === 'word' && one === word);
  const ruled = parameters === 0 && (WRITING.includes(verb) || (verb === 'with' && WRITING.some(writes)));
  const planned = ordinary && PLANNED.has(verb) && !into && !ruled && !DATED.test(text);
  const declares = declaresReadOnly(text);
  return {
    text,
    ordinary,
    parameters,
    planned,
    declares,
    ruled,
    starred,
    uses: 0,
    name: undefined,
    shape: undefined,
    command: undefined,
  };
}

/** The highest number of a parameter. One inside a literal may be counted too: then nobody's values seem to fit, and it is not prepared. */
function highest(text: string): number {
  let most = 0;
  for (const [, number] of text.matchAll(/\$(\d+)/g)) most = Math.max(most, Number(number));
  return most;
}

export type Prepare = 'auto' | 'always' | false;

/** Shared by all sessions of a pool. */
export class Texts {
  #young = new Map<string, Text>();
  #old = new Map<string, Text>();
  #names = 0;
  #vanished = 0;
  readonly #prepare: Prepare;

  constructor(prepare: Prepare = false) {
    this.#prepare = prepare;
  }

  /** Whether texts are given names at all. */
  get prepares(): boolean {
    return this.#prepare !== false && this.#vanished < VANISHED_MAX;
  }

  of(text: string): Text {
    const known = this.#young.get(text);
    if (known !== undefined) return known;
    const found = this.#old.get(text) ?? read(text);
    // What carries its data in itself must not fill the memory.
    if (text.length > LONGEST) return found;
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, found);
    return found;
  }

  /** Counts a use; the name under which the text is to be prepared, if it is. */
  use(text: Text): string | undefined {
    if (!text.planned || !this.prepares) return undefined;
    if (text.name !== undefined) return text.name;
    text.uses += 1;
    if (text.uses < USES_BEFORE_A_NAME && this.#prepare !== 'always') return undefined;
    this.#names += 1;
    text.name = `oxbow_${this.#names}`;
    return text.name;
  }

  /** What a connection had prepared was not there. */
  vanished(): void {
    this.#vanished += 1;
  }
}
