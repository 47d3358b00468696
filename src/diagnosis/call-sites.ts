// Where each lease was taken. Owns when a call site is noted, which costs a microsecond or two, and how a stack is read; the stack is
// kept as it was captured and only turned into text when somebody asks. Knows no pool and no session.

import { fileURLToPath } from 'node:url';
import type { LeaseRecord, Ledger } from '../contracts/ledger.ts';

/** `auto`: where it is likely to be asked for, and one in sixteen elsewhere. */
export type CallSiteMode = 'always' | 'auto' | 'never';

/** What the options `callSites` and `dev` come to. */
export function modeOf({
  callSites,
  dev,
}: {
  readonly callSites: boolean | 'auto';
  readonly dev: boolean;
}): CallSiteMode {
  if (callSites === 'auto') return dev ? 'always' : 'auto';
  return callSites ? 'always' : 'never';
}

const ONE_IN = 16;
/** So many waiters at most carry a stack of their own: it weighs more than the waiter. */
const MOST_WAITING = 1_000;
/** In `auto` so many notes may be taken at once, and a hundred a second in the long run: nothing that anybody would measure. */
const BURST = 256;
const NOTE_EVERY_MS = 10;
/** Our own frames and an ORM's come first. */
const FRAMES = 24;

/** Folders may have spaces and parentheses in their names; `<` begins what is no file. */
const FRAME = /^\s+at (?:.*? \(|(?:async )?)([^<]+?):(\d+):\d+\)?$/;
/**
 * Every file of this package lies below, as stacks name it. Read off a stack: `import.meta` stops loaders of CommonJS (Jest's) and is
 * empty in their bundles. Undefined inside a bundle, where nothing tells our frames from the user's.
 */
const OWN = ownFolder(String(new Error().stack));

function ownFolder(stack: string): string | undefined {
  const [, where = ''] = FRAME.exec(stack.split('\n')[1] ?? '') ?? [];
  return /^(.*[\\/])diagnosis[\\/]call-sites\.\w+$/.exec(where)?.[1];
}

/** The file and line of the first frame that is the user's: outside this package, and outside other packages if there is one. */
export function siteOf(stack: string): string | undefined {
  const { library, user } = placesIn(stack);
  return user ?? library;
}

/** The first frame of the user's, and the first of another package's before that. */
function placesIn(stack: string): { readonly library: string | undefined; readonly user: string | undefined } {
  let library: string | undefined;
  for (const line of stack.split('\n')) {
    const found = FRAME.exec(line);
    if (found === null) continue;
    const [, where = '', row = ''] = found;
    if (where.startsWith('node:') || (OWN !== undefined && where.startsWith(OWN))) continue;
    const site = `${shortened(path(where))}:${row}`;
    if (!/[\\/]node_modules[\\/]/.test(where)) return { library, user: site };
    library ??= site;
  }
  return { library, user: undefined };
}

function path(where: string): string {
  try {
    return where.startsWith('file:') ? fileURLToPath(where) : where;
  } catch {
    return where;
  }
}

/** Relative to where the process was started, if it lies there. */
function shortened(file: string): string {
  const here = `${process.cwd()}/`;
  return file.startsWith(here) ? file.slice(here.length) : file;
}

/** Its text; none where somebody's `Error.prepareStackTrace` throws, or makes something else of it. */
export function stackOf(error: Error): string {
  try {
    const stack: unknown = error.stack;
    return typeof stack === 'string' ? stack : '';
  } catch {
    return '';
  }
}

/** A stack as it is; reading its text is what costs. */
export function capture(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const error = new Error();
  Error.stackTraceLimit = limit;
  return error;
}

/** A stack that was read. */
class Site {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A lease's two stacks: of the call that asked for it, and of the one that went on with it. */
class Trail {
  readonly asked: Error;
  readonly served: Error;

  constructor(asked: Error, served: Error) {
    this.asked = asked;
    this.served = served;
  }

  get site(): string | undefined {
    const asked = placesIn(stackOf(this.asked));
    return asked.user ?? placesIn(stackOf(this.served)).user ?? asked.library;
  }
}

/**
 * To be called where whoever awaits a connection is about to go on with it. A library that asks in a `then()` of its own (Knex does) has no
 * user on its stack yet; by now somebody awaits its promise, and V8 follows promises up to whoever that is. The other way round, a user who
 * does not await is on the first stack only: so both are kept, and read when somebody asks.
 */
export function follow(record: Pick<LeaseRecord, 'origin'>): void {
  if (record.origin instanceof Error) record.origin = new Trail(record.origin, capture());
}

export class CallSites implements Ledger {
  /** In `auto` a leaky bucket (as GCRA): it is full until then. */
  silentUntil: number;
  readonly #mode: CallSiteMode;
  #count = 0;

  constructor(mode: CallSiteMode) {
    this.#mode = mode;
    this.silentUntil = mode === 'never' ? Infinity : -Infinity;
  }

  /** By the time a waiter is served its caller's stack is gone. */
  asked(waiting: number, now: number): object | undefined {
    return this.#mode === 'always' || waiting < MOST_WAITING ? this.#note(now) : undefined;
  }

  lent(record: LeaseRecord, crowded: boolean, now: number, waited: boolean): void {
    if (record.origin !== undefined || waited) return;
    if (this.#mode === 'auto' && !crowded) {
      this.#count = (this.#count + 1) % ONE_IN;
      if (this.#count !== 0) return;
    }
    record.origin = this.#note(now);
  }

  returned(): void {}

  site({ origin }: Pick<LeaseRecord, 'origin'>): string | undefined {
    if (origin instanceof Site) return origin.text;
    if (origin instanceof Trail) return origin.site;
    return origin instanceof Error ? siteOf(stackOf(origin)) : undefined;
  }

  plain(record: Pick<LeaseRecord, 'origin'>): object | undefined {
    const site = this.site(record);
    return site === undefined ? undefined : new Site(site);
  }

  #note(now: number): object | undefined {
    if (now < this.silentUntil) return undefined;
    if (this.#mode === 'auto') {
      this.silentUntil = Math.max(this.silentUntil, now - (BURST - 1) * NOTE_EVERY_MS) + NOTE_EVERY_MS;
    }
    return capture();
  }
}
