// What the scripted server makes of a statement: how long it takes, what it answers and in which state it leaves its session. Pure.
// A statement of a borrower carries a mark in a comment, which the answer repeats: so each reply can be told from any other.

import { bound, complete, emptyQuery, failure, noData, parsed, row, rowsDescribed, type Status } from './protocol.ts';

export interface Statement {
  readonly text: string;
  readonly mark: string | undefined;
  readonly values: readonly string[];
  /** By the extended protocol. */
  readonly extended: boolean;
  /** What was bound ahead of it in the same reply: passed over, as it is itself, after the first that fails. */
  readonly ahead: readonly string[];
}

/** All of a reply but the word that the session is ready for the next. */
export interface Reply {
  readonly bytes: Buffer;
  readonly status: Status;
}

/** Whatever the server knows about itself that a statement may ask for. */
export interface Knowledge {
  readonly pid: number;
  /** What is told about other sessions. */
  readonly activity: string;
}

const MARK = /\/\*(.+?)\*\//;

export function marked(text: string, mark: string): string {
  return `${text} /*${mark}*/`;
}

export function statementOf(
  text: string,
  values: readonly string[],
  extended: boolean,
  ahead: readonly string[] = [],
): Statement {
  return { text, mark: MARK.exec(text)?.[1], values, extended, ahead };
}

export const divisionByZero = (): Buffer => failure('ERROR', '22012', 'division by zero');
export const cancelledByUser = (): Buffer => failure('ERROR', '57014', 'canceling statement due to user request');
export const stopped = (): Buffer => failure('FATAL', '57P01', 'terminating connection due to administrator command');

/** For how long it runs, in milliseconds. */
export function lastsMs({ text }: Statement): number {
  return Number(/\bsleep (\d+)/.exec(text)?.[1] ?? 0);
}

function partsOf(text: string): string[] {
  const parts = text.replace(MARK, '').split(';');
  return parts.map((part) => part.trim()).filter((part, n) => part !== '' || (n === 0 && parts.length === 1));
}

/** A failed statement in a transaction spoils it. */
export function failed(status: Status): Status {
  return status === 'I' ? 'I' : 'E';
}

function answerTo(word: string, statement: Statement, known: Knowledge): { rows?: string[]; tag: string } {
  if (/pg_backend_pid/.test(word)) return { rows: [String(known.pid)], tag: 'SELECT 1' };
  if (/pg_stat_activity/.test(word)) {
    const [pids = ''] = statement.values;
    const pid = pids.replace(/[{}]/g, '').split(',')[0] ?? '';
    return { rows: [pid, known.activity, '3600000', '60000'], tag: 'SELECT 1' };
  }
  if (/^(select|sleep)\b/i.test(word)) return { rows: [statement.mark ?? ''], tag: 'SELECT 1' };
  return { tag: (/^\w+/.exec(word)?.[0] ?? '').toUpperCase() };
}

/** What it answers when it has come to its end undisturbed. */
export function replyTo(statement: Statement, before: Status, known: Knowledge): Reply {
  const bytes: Buffer[] = [];
  let status = before;
  for (const text of statement.ahead) {
    bytes.push(parsed(), bound(), complete((/^\w+/.exec(text)?.[0] ?? '').toUpperCase()));
    if (/^begin\b/i.test(text)) status = 'T';
  }
  if (statement.extended) bytes.push(parsed(), bound());
  for (const word of partsOf(statement.text)) {
    const ends = /^(commit|rollback(?! to))\b/i.test(word);
    if (status === 'E' && !ends && !/^rollback to/i.test(word)) {
      bytes.push(failure('ERROR', '25P02', 'current transaction is aborted'));
      return { bytes: Buffer.concat(bytes), status };
    }
    if (word === '') {
      bytes.push(emptyQuery());
      continue;
    }
    if (/^(select )?fail\b/.test(word)) {
      bytes.push(divisionByZero());
      return { bytes: Buffer.concat(bytes), status: failed(status) };
    }
    const { rows, tag } = answerTo(word, statement, known);
    if (rows !== undefined) bytes.push(rowsDescribed(rows.map((_, n) => `c${n}`)), row(rows));
    else if (statement.extended) bytes.push(noData());
    bytes.push(complete(/^commit/i.test(word) && status === 'E' ? 'ROLLBACK' : tag));
    if (/^begin\b/i.test(word)) status = 'T';
    else if (ends) status = 'I';
    else if (/^rollback to/i.test(word)) status = 'T';
  }
  return { bytes: Buffer.concat(bytes), status };
}
