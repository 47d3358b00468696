// Who takes part, by name, and in which runtime. `ours again` is the same as `ours` in another process: the A/A row.

export const LINE_UP = [
  'ours',
  'ours, prepare false',
  'ours, speaker pg',
  'ours again',
  'pg-pool',
  'pg-pool, pipeline',
  'postgres.js',
  'postgres.js, unsafe by default',
  'Bun.sql',
  'slonik',
  'limit: a bare socket',
] as const;

export type Name = (typeof LINE_UP)[number];

/** What Node can do with one statement at a time on a connection, if nothing else cost anything. */
export const BARE: Name = 'limit: a bare socket';

/** The limit: C, no pool, and of the rows it looks at none. A program of its own. */
export const LIMIT = 'limit: pgbench';
export type Contender = Name | typeof LIMIT;

export function isName(name: unknown): name is Name {
  return LINE_UP.some((one) => one === name);
}

export function isOurs(name: Contender): boolean {
  return name.startsWith('ours');
}
