// The function calls in one statement. Owns the distinction between a call and all else that puts a parenthesis after a name: column
// lists, aliases, type modifiers, keywords. What a function does to the session is not known here.
//
// Each exception holds only where the server's grammar lets no call stand; where it might, it is reported as a call.

import { CLEAN_FUNCTIONS, NO_FUNCTION, RESERVED } from './clean-functions.ts';
import type { Token } from './sql-tokens.ts';

export type Tokens = readonly Token[];

export interface Call {
  /** As it is in pg_catalog; undefined if it is not surely looked up by its bare name or there. */
  readonly name: string | undefined;
  /** Where its closing parenthesis is. */
  readonly close: number;
}

export function wordAt(tokens: Tokens, at: number): string | undefined {
  const token = tokens[at];
  return token?.kind === 'word' ? token.text : undefined;
}

export function isMark(tokens: Tokens, at: number, mark: string): boolean {
  const token = tokens[at];
  return token?.kind === 'mark' && token.text === mark;
}

export function isName(tokens: Tokens, at: number): boolean {
  const kind = tokens[at]?.kind;
  return kind === 'word' || kind === 'quoted';
}

/** For each parenthesis where its partner is; undefined if one has none. */
export function partners(tokens: Tokens): ReadonlyMap<number, number> | undefined {
  const partner = new Map<number, number>();
  const open: number[] = [];
  for (let at = 0; at < tokens.length; at++) {
    if (isMark(tokens, at, '(')) open.push(at);
    if (!isMark(tokens, at, ')')) continue;
    const start = open.pop();
    if (start === undefined) return undefined;
    partner.set(start, at).set(at, start);
  }
  return open.length === 0 ? partner : undefined;
}

/** Before a name with a parenthesis: that name is a relation, a type, an alias, a common table expression or a prepared statement. */
const BEFORE_NO_CALL = new Set(['into', 'as', 'table', 'exists', 'references', 'with', 'execute']);

/** What a FROM item in parentheses stands after. */
const BEFORE_FROM_ITEM = new Set(['from', 'join', 'lateral']);

/** What a query begins with, and what comes next where that word could be a name too. */
const QUERIES = new Set(['select', 'with', 'table', 'values (', 'insert into', 'delete from', 'merge into']);

/** Words that mean what they mean only right after another one, which can come before no call. */
const AFTER: ReadonlyMap<string, readonly string[]> = new Map([
  ['by', ['order', 'group', 'partition']],
  ['sets', ['grouping']],
  ['zone', ['time']],
  ['key', ['primary', 'foreign']],
  ['first', ['fetch']],
  ['next', ['fetch']],
  ['varying', ['character', 'char', 'nchar', 'bit']],
]);

/** An expression begins after these. */
const BEFORE_OPERAND = new Set(['where', 'and', 'or', 'not', 'on', 'when']);

class Reader {
  readonly #tokens: Tokens;
  readonly #partner: ReadonlyMap<number, number>;
  readonly #verb: string | undefined;
  readonly #firstSet: number;

  constructor(tokens: Tokens, partner: ReadonlyMap<number, number>) {
    this.#tokens = tokens;
    this.#partner = partner;
    this.#verb = this.#word(0);
    this.#firstSet = tokens.findIndex((_, at) => this.#word(at) === 'set');
  }

  /** The call whose arguments begin at `open`, if it is one. */
  callAt(open: number): Call | undefined {
    const last = open - 1;
    const token = this.#tokens[last];
    // No argument begins with a bare query.
    if (token === undefined || this.#beginsQuery(open)) return undefined;
    const close = this.#close(open);
    // U&"…" UESCAPE '!' (…): a name with its escape character.
    if (token.kind === 'string' && this.#word(last - 1) === 'uescape') return { name: undefined, close };
    if (!isName(this.#tokens, last)) return undefined;
    let first = last;
    while (this.#isMark(first - 1, '.')) {
      if (!isName(this.#tokens, first - 2)) return { name: undefined, close };
      first -= 2;
    }
    const qualified = first < last;
    if (this.#isNoCall(first, last, open)) return undefined;
    if (qualified) {
      const inCatalog = first === last - 2 && this.#tokens[first]?.text === 'pg_catalog';
      return { name: inCatalog ? token.text : undefined, close };
    }
    const word = this.#word(last);
    if (word !== undefined && (RESERVED.has(word) || NO_FUNCTION.has(word) || this.#isKeyword(word, last, close)))
      return undefined;
    return { name: token.text, close };
  }

  /** Whether the name from `first` to `last` stands where none is called. */
  #isNoCall(first: number, last: number, open: number): boolean {
    const before = this.#word(first - 1);
    if (this.#isMark(first - 1, '::')) return true;
    if (before !== undefined && BEFORE_NO_CALL.has(before)) return true;
    if (first === 1 && before === 'copy') return true;
    if (first !== last) return false;
    if (before === 'recursive' || before === 'ordinality') return this.#word(first - 2) === 'with';
    if (this.#isMark(first - 1, ')')) return this.#endsFromItem(first - 1) && !RESERVED.has(this.#word(last) ?? '');
    return this.#isMark(first - 1, ',') && this.#isLaterExpression(open);
  }

  /** `from (select ...) v (a, b)`, `from unnest(...) v (a, b)`: nothing is called right after either. */
  #endsFromItem(close: number): boolean {
    const before = this.#open(close) - 1;
    if (this.#isMark(before, ',')) return true;
    const word = this.#word(before);
    return word !== undefined && (BEFORE_FROM_ITEM.has(word) || CLEAN_FUNCTIONS.has(word));
  }

  /** `with a as (...), b (x, y) as (select ...)`, and not `from a, b(x) as (y int)`. */
  #isLaterExpression(open: number): boolean {
    let at = this.#close(open) + 1;
    if (this.#word(at) !== 'as') return false;
    at += 1;
    if (this.#word(at) === 'not') at += 1;
    if (this.#word(at) === 'materialized') at += 1;
    return this.#isMark(at, '(') && this.#beginsQuery(at);
  }

  #beginsQuery(open: number): boolean {
    const word = this.#word(open + 1);
    if (word === undefined) return false;
    return QUERIES.has(word) || QUERIES.has(`${word} ${this.#tokens[open + 2]?.text}`);
  }

  /** Whether `word`, which could be a function's name elsewhere, is a keyword here. */
  #isKeyword(word: string, at: number, close: number): boolean {
    const before = this.#word(at - 1);
    const next = this.#word(close + 1);
    if (before !== undefined && AFTER.get(word)?.includes(before) === true) return true;
    switch (word) {
      case 'explain':
        return at === 0;
      case 'filter':
        return this.#word(at + 2) === 'where';
      case 'over':
        return this.#endsCall(at - 1);
      case 'rollup':
      case 'cube':
        return before === 'by' && this.#word(at - 2) === 'group';
      case 'materialized':
        return before === 'as' || (before === 'not' && this.#word(at - 2) === 'as');
      case 'ilike':
      case 'escape':
        return this.#endsOperand(at - 1);
      case 'columns':
        return this.#tokens[at - 1]?.kind === 'string';
      case 'insert':
        return before === 'then' && (next === 'values' || next === 'overriding');
      case 'set':
        if (before === 'update') return this.#word(at - 2) === 'do' || this.#word(at - 2) === 'then';
        return this.#verb === 'update' && at === this.#firstSet;
      case 'conflict':
        return before === 'on' && (next === 'do' || (next === 'where' && this.#reachesDo(close + 2)));
      case 'stdin':
      case 'stdout':
        return this.#verb === 'copy' && close === this.#tokens.length - 1 && (before === 'from' || before === 'to');
      default:
        return false;
    }
  }

  /** A conflict target's predicate ends in DO; the condition of a join does not before the next conflict target. */
  #reachesDo(from: number): boolean {
    for (let at = from; at < this.#tokens.length; at++) {
      const word = this.#word(at);
      if (word === 'do') return true;
      if (word === 'conflict') return false;
    }
    return false;
  }

  /** A call, an aggregate's filter or its WITHIN GROUP ends here; after DISTINCT ON and OPERATOR a call could follow. */
  #endsCall(at: number): boolean {
    if (!this.#isMark(at, ')')) return false;
    const before = this.#open(at) - 1;
    return isName(this.#tokens, before) && !['on', 'operator', 'with'].includes(this.#word(before) ?? '');
  }

  #endsOperand(at: number): boolean {
    const token = this.#tokens[at];
    if (token?.kind === 'mark') return token.text === ']' || this.#endsCall(at);
    const word = this.#word(at);
    if (word === undefined) return token !== undefined;
    return !RESERVED.has(word) && (this.#isMark(at - 1, '.') || BEFORE_OPERAND.has(this.#word(at - 1) ?? ''));
  }

  #word(at: number): string | undefined {
    return wordAt(this.#tokens, at);
  }

  #isMark(at: number, mark: string): boolean {
    return isMark(this.#tokens, at, mark);
  }

  #close(open: number): number {
    return this.#partner.get(open) ?? this.#tokens.length;
  }

  #open(close: number): number {
    return this.#partner.get(close) ?? 0;
  }
}

/** All calls, in the order of their opening parentheses. */
export function callsIn(tokens: Tokens, partner: ReadonlyMap<number, number>): Call[] {
  const reader = new Reader(tokens, partner);
  const calls: Call[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const call = isMark(tokens, at, '(') ? reader.callAt(at) : undefined;
    if (call !== undefined) calls.push(call);
  }
  return calls;
}
