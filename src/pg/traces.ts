// What a text may leave behind in its session. Owns the judgement of whole statements: what is not known to be clean is not.
// How a text is cut, what is called in it and which functions are clean is known elsewhere.

import { CLEAN_FUNCTIONS, RESERVED, SESSION_LOCKS, SESSION_UNLOCKS } from './clean-functions.ts';
import { type Call, callsIn, isMark, isName, partners, type Tokens, wordAt } from './sql-calls.ts';
import { readSql } from './sql-tokens.ts';

/** Bits. */
export const Trace = { none: 0, known: 1, unknown: 2 } as const;

/**
 * A text longer than this is not read and thus `unknown`: it carries its data in itself and costs its server far more than a reset does.
 */
const LONGEST = 100_000;

/** Statements that change nothing beyond their transaction, whatever follows. */
const CLEAN_VERBS = new Set(
  'begin start commit end rollback abort savepoint release lock truncate notify show fetch move close'.split(' '),
);

/** Statements that are as clean as what they call. */
const QUERY_VERBS = new Set('select values table with insert update delete merge copy'.split(' '));

/** A query that may be in parentheses as a whole. */
const BARE_QUERIES = new Set(['select', 'values', 'table', 'with']);

/**
 * What the text may leave behind in its session: a set of bits. `known` is what closing cursors, resetting settings, role and
 * authorization, UNLISTEN, unlocking advisory locks, DISCARD TEMP and DISCARD SEQUENCES undo; `unknown` is undone by nothing less than all
 * of DISCARD ALL.
 *
 * A text is judged by its words alone. What the server runs unnamed is out of sight: triggers, rules, views, defaults, operators, casts,
 * a function called as if it were a column (`row.f`), and a function that someone put before pg_catalog in the `search_path` under the name
 * of one of its own. The values that nextval and setval leave for currval and lastval are not counted.
 */
export function traceOf(text: string): number {
  if (text.length > LONGEST) return Trace.unknown;
  const reading = readSql(text, true);
  if (reading === undefined) return Trace.unknown;
  // A server that cannot read the text in its way runs none of it, so only a second reading that is whole counts.
  const other = reading.twofold ? readSql(text, false) : undefined;
  let trace: number = Trace.none;
  for (const statement of [...reading.statements, ...(other?.statements ?? [])]) trace |= traceOfStatement(statement);
  return trace;
}

function traceOfStatement(tokens: Tokens): number {
  const partner = partners(tokens);
  if (partner === undefined) return Trace.unknown;
  const verbAt = findVerb(tokens, partner);
  const verb = wordAt(tokens, verbAt);
  if (verb === undefined) return tokens.length === 0 ? Trace.none : Trace.unknown;
  if (CLEAN_VERBS.has(verb) && verbAt === 0) return Trace.none;
  if (QUERY_VERBS.has(verb))
    return traceOfCalls(tokens, partner) | (selectsInto(tokens) === -1 ? Trace.none : Trace.known);
  switch (verb) {
    case 'set':
      return isTransactionSet(tokens) ? Trace.none : Trace.known;
    case 'reset':
    case 'listen':
    case 'unlisten':
      return Trace.known;
    case 'declare':
    case 'execute':
      return Trace.known | traceOfCalls(tokens, partner);
    case 'create':
      return temporaryAt(tokens) === -1 ? Trace.unknown : Trace.known | traceOfCalls(tokens, partner);
    default:
      return Trace.unknown;
  }
}

/** Where the word is that says what is done: past EXPLAIN and the parentheses around a query. */
function findVerb(tokens: Tokens, partner: ReadonlyMap<number, number>): number {
  let at = 0;
  const explained = wordAt(tokens, 0) === 'explain';
  if (explained) {
    at = 1;
    const close = partner.get(1);
    const inside = tokens[2];
    const isQuery = isMark(tokens, 2, '(') || (inside !== undefined && BARE_QUERIES.has(inside.text));
    if (close !== undefined && !isQuery) at = close + 1;
    while (['analyze', 'analyse', 'verbose'].includes(wordAt(tokens, at) ?? '')) at += 1;
  }
  const first = at;
  while (isMark(tokens, at, '(')) at += 1;
  return at === first || BARE_QUERIES.has(wordAt(tokens, at) ?? '') ? at : tokens.length;
}

function traceOfCalls(tokens: Tokens, partner: ReadonlyMap<number, number>): number {
  let trace: number = Trace.none;
  for (const call of callsIn(tokens, partner)) trace |= traceOfCall(tokens, call);
  return trace;
}

function traceOfCall(tokens: Tokens, { name, close }: Call): number {
  if (name === undefined) return Trace.unknown;
  if (CLEAN_FUNCTIONS.has(name)) return Trace.none;
  if (SESSION_LOCKS.has(name) || SESSION_UNLOCKS.has(name)) return Trace.known;
  if (name === 'set_config') return endsWith(tokens, close, 'true') ? Trace.none : Trace.known;
  return Trace.unknown;
}

/** Whether the last of several arguments is this word and nothing more. */
function endsWith(tokens: Tokens, close: number, word: string): boolean {
  return isMark(tokens, close - 2, ',') && wordAt(tokens, close - 1) === word;
}

/**
 * Where the INTO of a SELECT is, or -1. SELECT and INTO are reserved; between the same parentheses the INTO of an INSERT or MERGE comes
 * before any SELECT, whatever columns are called.
 */
function selectsInto(tokens: Tokens): number {
  const selected = [false];
  for (let at = 0; at < tokens.length; at++) {
    const word = wordAt(tokens, at);
    if (isMark(tokens, at, '(')) selected.push(false);
    else if (isMark(tokens, at, ')')) selected.pop();
    else if (word === 'select') selected[selected.length - 1] = true;
    else if (word === 'into' && selected.at(-1) === true) return at;
  }
  return -1;
}

const TRANSACTION_MODES = new Set(['isolation', 'read', 'not', 'deferrable', 'snapshot']);

/** Each of these words may be the first part of a custom setting's name too: `SET local.x = 1` is a setting of the session. */
function isTransactionSet(tokens: Tokens): boolean {
  const next = wordAt(tokens, 2);
  switch (wordAt(tokens, 1)) {
    case 'transaction':
      return next !== undefined && TRANSACTION_MODES.has(next);
    case 'local':
    case 'constraints':
      return isName(tokens, 2) && next !== 'to';
    default:
      return false;
  }
}

/** Where TEMP is in CREATE TEMP ..., or -1. */
function temporaryAt(tokens: Tokens): number {
  let at = 1;
  if (wordAt(tokens, at) === 'or' && wordAt(tokens, at + 1) === 'replace') at += 2;
  if (['local', 'global'].includes(wordAt(tokens, at) ?? '')) at += 1;
  return ['temp', 'temporary'].includes(wordAt(tokens, at) ?? '') ? at : -1;
}

type SessionState = 'SET' | 'LISTEN' | 'PREPARE' | 'advisory lock' | 'temporary table' | 'cursor WITH HOLD';

/**
 * The kinds of session state that a text certainly asks for outside a transaction's own scope: for a report behind a transaction pooler.
 * Each once. A text that cannot be read, or is longer than `traceOf` reads, certainly asks for nothing.
 */
export function sessionStateIn(text: string): SessionState[] {
  const reading = text.length > LONGEST ? undefined : readSql(text, true);
  if (reading === undefined || reading.twofold) return [];
  const kinds = new Set<SessionState>();
  for (const statement of reading.statements) {
    // The body of a function may hold statements of its own, which are not run now.
    if (wordAt(statement, 0) === 'create' && statement.some((_, at) => wordAt(statement, at) === 'atomic')) break;
    for (const kind of stateOfStatement(statement)) kinds.add(kind);
  }
  return [...kinds];
}

function stateOfStatement(tokens: Tokens): SessionState[] {
  const partner = partners(tokens);
  const verb = wordAt(tokens, 0);
  if (partner === undefined || verb === undefined) return [];
  switch (verb) {
    case 'set':
      return isTransactionSet(tokens) ? [] : ['SET'];
    case 'listen':
      return ['LISTEN'];
    case 'prepare':
      return wordAt(tokens, 1) === 'transaction' && tokens[2]?.kind === 'string' ? [] : ['PREPARE'];
    case 'declare':
      return holds(tokens) ? ['cursor WITH HOLD'] : [];
    case 'create':
      return wordAt(tokens, temporaryAt(tokens) + 1) === 'table' && temporaryAt(tokens) > 0 && !isDropped(tokens)
        ? ['temporary table']
        : [];
    default:
      return QUERY_VERBS.has(verb) ? stateOfQuery(tokens, partner) : [];
  }
}

function stateOfQuery(tokens: Tokens, partner: ReadonlyMap<number, number>): SessionState[] {
  const into = selectsInto(tokens);
  const states: SessionState[] = into !== -1 && isTemporaryTarget(tokens, into + 1) ? ['temporary table'] : [];
  for (const { name, close } of callsIn(tokens, partner)) {
    if (name !== undefined && SESSION_LOCKS.has(name)) states.push('advisory lock');
    if (name === 'set_config' && endsWith(tokens, close, 'false')) states.push('SET');
  }
  return states;
}

/** WITH HOLD stands before FOR; what comes after is the query. */
function holds(tokens: Tokens): boolean {
  const query = tokens.findIndex((_, at) => wordAt(tokens, at) === 'for');
  return tokens.slice(0, query).some((_, at) => wordAt(tokens, at) === 'with' && wordAt(tokens, at + 1) === 'hold');
}

function isDropped(tokens: Tokens): boolean {
  return tokens.some((_, at) => ['on', 'commit', 'drop'].every((word, index) => wordAt(tokens, at + index) === word));
}

/** `INTO TEMP t`, but not `INTO temp FROM`: a table may be called so. */
function isTemporaryTarget(tokens: Tokens, at: number): boolean {
  const start = ['local', 'global'].includes(wordAt(tokens, at) ?? '') ? at + 1 : at;
  if (!['temp', 'temporary'].includes(wordAt(tokens, start) ?? '')) return false;
  const next = wordAt(tokens, start + 1);
  return next === undefined ? tokens[start + 1]?.kind === 'quoted' : next === 'table' || !RESERVED.has(next);
}
