// What one entry of the codec's corpus is: a query, or several that follow each other on one connection, as data. Owns the words of
// the corpus; how entries are run, and what they are compared with, is known to codec-doors.ts.

/** Who is expected to speak on the wire with `speaker: 'auto'`; `nobody`: nothing is sent. */
export type Speaks = 'codec' | 'pg' | 'either' | 'nobody';

/** The three ways to ask: `pool.query`, `lease.query`, and `tx.query` in a transaction that is undone afterwards. */
export type Door = 'pool' | 'lease' | 'tx';

/** What is given to `query()`. */
export type Arguments = readonly unknown[];

export interface Entry {
  /** Completes the sentence "… gives what pg gives". */
  readonly name: string;
  /** Made anew for each run, since a value may have a state, or be a closure of its own on purpose. */
  readonly steps: () => readonly Arguments[];
  /** For every step, or for each. */
  readonly speaks: Speaks | readonly Speaks[];
  /** All of them by default. */
  readonly doors?: readonly Door[];
  /** By another session, before each run. */
  readonly before?: string;
  /** On sessions that no other entry has had or will have, and once: it leaves something behind. */
  readonly apart?: true;
  /** Functions in the results are made anew for each run, and compared by their text. */
  readonly closures?: true;
  /** Why a bare pg.Client answers otherwise than any pool of ours: then the pool with `speaker: 'pg'` is what is compared with. */
  readonly deviates?: string;
  /** Why the codec, in some of its ways, answers otherwise than pg, known and meant: it has to, or the entry is out of date. */
  readonly unlike?: string;
  /** With `prepare: 'always'` each run of its last step is a prepared one; false: none is. Not looked at by default. */
  readonly prepared?: boolean;
  /** The last argument is a callback, put there by whoever runs it. */
  readonly callback?: true;
}

type Rest = Omit<Entry, 'name' | 'steps' | 'speaks'>;

/** One query, whose arguments are the same values in each run. */
export function entry(name: string, speaks: Speaks, args: Arguments, rest: Rest = {}): Entry {
  return { name, speaks, steps: () => [args], ...rest };
}

/** One query, whose arguments are made anew for each run. */
export function fresh(name: string, speaks: Speaks, make: () => Arguments, rest: Rest = {}): Entry {
  return { name, speaks, steps: () => [make()], ...rest };
}

/** Queries that follow each other on one connection. */
export function scenario(
  name: string,
  speaks: Speaks | readonly Speaks[],
  steps: readonly Arguments[],
  rest: Rest = {},
): Entry {
  return { name, speaks, steps: () => steps, ...rest };
}
