// docs/troubleshooting.md as its tests read it: rows of messages, and whether a text that came is the text that a row quotes. Knows no message.

import { rows, section, ticked } from '../laws/document.ts';
import { read } from '../laws/tree.ts';

export interface Row {
  /** The texts as they are quoted, `…` for what varies. */
  readonly quotes: readonly string[];
  readonly codes: readonly string[];
  /** Why, and what to do. */
  readonly rest: readonly string[];
}

export const CHAPTERS = {
  foreign: 'From PostgreSQL, pg and Node',
  errors: 'Errors of Oxbow',
  reports: 'Reports and warnings of Oxbow',
  verdicts: 'Verdicts',
} as const;

export type Chapter = keyof typeof CHAPTERS;

export function rowsOf(chapter: Chapter, document: string = read('docs/troubleshooting.md')): Row[] {
  return rows(section(document, CHAPTERS[chapter])).map(([message = '', code = '', ...rest]) => ({
    quotes: ticked(message),
    codes: ticked(code),
    rest,
  }));
}

/** The parts of a quote that do not vary. */
function fixed(quote: string): string[] {
  return quote.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

/** Matches each text in which the quote stands. */
export function pattern(quote: string): RegExp {
  return new RegExp(fixed(quote).join('[\\s\\S]*?'));
}

/** Whether each part of the quote that does not vary stands in the text. */
export function isWrittenIn(quote: string, text: string): boolean {
  return quote.split('…').every((part) => text.includes(part.trim()));
}

export interface Elsewhere {
  readonly quote: string;
  /** Why it is not provoked beside the others. */
  readonly reason: string;
  /** The source or test of ours in which it is written; undefined for a text that others write and no test of ours sees. */
  readonly at: string | undefined;
}

/** What test/docs/troubleshooting.test.ts does not provoke. */
export const ELSEWHERE: readonly Elsewhere[] = [
  {
    quote: 'remaining connection slots are reserved for non-replication superuser connections',
    reason: 'what PostgreSQL up to 15 says; the server of the tests is newer',
    at: undefined,
  },
  {
    quote: 'unsupported startup parameter: …',
    reason: "PgBouncer's, provoked where there is one",
    at: 'test/postgres/pgbouncer-faults.test.ts',
  },
  {
    quote: 'self-signed certificate in certificate chain',
    reason: "Node's, for a chain of certificates; the one of the tests has signed itself",
    at: undefined,
  },
  {
    quote: 'no pg_hba.conf entry for host "…", user "…", database "…", no encryption',
    reason: 'a server that lets everybody in has no such rule',
    at: undefined,
  },
  {
    quote: 'getaddrinfo ENOTFOUND …',
    reason: "Node's; what a name that does not exist is answered with depends on the network",
    at: undefined,
  },
  {
    quote: 'was replaced as the pool "…"',
    reason: 'of globalPool(), which has tests of its own',
    at: 'src/pool/global-pool.ts',
  },
  {
    quote: 'a connection was lost at its return or in a check',
    reason: 'a race between a death and a return; the words beside it are provoked',
    at: 'src/pool/pg-events.ts',
  },
  {
    quote: 'the driver did not destroy the socket of connection … within … ms',
    reason: 'no socket of Node does that: a scripted driver in test/core/retirement.test.ts',
    at: 'src/core/retirement.ts',
  },
  {
    quote: 'the driver did not give up a connect within … ms',
    reason: 'no socket of Node does that: a scripted driver in the matrix',
    at: 'src/core/opener.ts',
  },
  {
    quote: 'a pooler was found between the pool and the server',
    reason: 'needs a pooler: test/postgres/pgbouncer-option.test.ts',
    at: 'src/pg/pooler.ts',
  },
  {
    quote: 'no connection is ready',
    reason: 'a moment in which nothing is lent and no connect has begun yet',
    at: 'src/diagnosis/explain.ts',
  },
];

/** Verdicts' sentences are compared but for figures, places, and what depends on the moment: of an attempt to connect, of a busy machine. */
export function shape(sentence: string): string {
  return sentence
    .replaceAll(/\S+\.[cm]?[jt]s:\d+(:\d+)?/g, 'PLACE')
    .replaceAll(/\d+(\.\d+)? m?s\b/g, 'TIME')
    .replaceAll(/\d+/g, 'N')
    .replaceAll(/, N in a row|; the next is tried in TIME|, N being opened/g, '')
    .replaceAll(/; the event loop was blocked for TIME of the time|; TIME of blocked time were given back/g, '');
}
