// What a fleet says to PostgreSQL, and how its answers are read. Owns the numbers of the advisory locks; decides nothing.
//
// One lock class (from the budget's key) for all of it. In it, as the second number of pg_advisory_lock(int, int):
//   0 … limit - 1     a permit: held by the session that has it, by no other
//   2^30 + member     held, shared, by each session that has a permit: whose it is
//   -1 - member       held by the one session of a member that seeks a permit
// All of them end with their session, so nobody has to notice that a process died.

const MEMBER = 2 ** 30;
/** pg_locks shows the second number as an unsigned one. */
const UNSIGNED = 2 ** 32;

/** How many members there can be before two of them are likely to be taken for one: their numbers are drawn by chance. */
export const MEMBERS: number = MEMBER;

/** FNV-1a: the same number for the same key, whatever runs it. */
export function lockClass(key: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`oxbow:${key}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}

export interface FleetKeys {
  /** The class of the budget's locks, and the channel on which its members talk. */
  readonly lockClass: number;
  readonly channel: string;
  readonly limit: number;
  readonly member: number;
}

/** Who has how many permits, and who seeks one. */
export interface CensusEntry {
  readonly member: number;
  readonly held: number;
  readonly seeks: boolean;
}

/**
 * Takes one permit if one is free. The search begins at `start`, so that those who search at the same time
 * do not all try the same ones. `MATERIALIZED` and `LIMIT` have PostgreSQL stop at the first lock it gets: that is the planner's habit and
 * no promise, and a test looks that a session has exactly one.
 */
function grab({ lockClass: c, limit, member }: FleetKeys, start: number): string {
  return `WITH grab AS MATERIALIZED (
    SELECT (g.n + ${start}) % ${limit} AS slot FROM pg_catalog.generate_series(0, ${limit - 1}) AS g (n)
    WHERE pg_catalog.pg_try_advisory_lock(${c}, (g.n + ${start}) % ${limit}) LIMIT 1)
  SELECT (SELECT slot FROM grab), (SELECT pg_catalog.pg_try_advisory_lock_shared(${c}, ${MEMBER + member}) FROM grab)`;
}

/**
 * The first thing that a new session says. The first statement fails behind a pooler, and nothing after it is done: a lock would stay on a
 * session that others use, for as long as the pooler keeps it. Its comment is for whoever finds it in the server's log.
 */
export function admission(keys: FleetKeys, start: number, pid: number): string {
  return `SELECT 1 / (pg_catalog.pg_backend_pid() = ${pid})::int /* division by zero: a pooler is in between */;
  LISTEN "${keys.channel}"; ${grab(keys, start)}`;
}

/** Whether `admission()` failed since the server's process is another one. */
export function isPooled(error: unknown): boolean {
  return Reflect.get(Object(error), 'code') === '22012';
}

/** Whether `admission()` failed since the server is a standby, where nobody can LISTEN: a borrower has not had the session yet. */
export function isStandby(error: unknown): boolean {
  return Reflect.get(Object(error), 'code') === '25006';
}

/** Says that this session seeks. */
export function seeking({ lockClass: c, member }: FleetKeys): string {
  return `SELECT pg_catalog.pg_try_advisory_lock(${c}, ${-1 - member})`;
}

/** As `admission()`, for a session that has sought for a while. */
export function another(keys: FleetKeys, start: number): string {
  return grab(keys, start);
}

export function foundOne({ lockClass: c, member }: FleetKeys): string {
  return `SELECT pg_catalog.pg_advisory_unlock(${c}, ${-1 - member})`;
}

/** After a reset has taken away all locks: the same permit, unless somebody was quicker. */
export function again({ channel, lockClass: c, member }: FleetKeys, slot: number): string {
  return `LISTEN "${channel}"; SELECT pg_catalog.pg_try_advisory_lock(${c}, ${slot}),
    pg_catalog.pg_try_advisory_lock_shared(${c}, ${MEMBER + member})`;
}

export function notice({ channel }: FleetKeys, payload: string): string {
  return `SELECT pg_catalog.pg_notify('${channel}', '${payload}')`;
}

/** Everybody who shares, as the server sees it: advisory locks are a database's own, and so is a fleet. */
export function census({ lockClass: c }: FleetKeys): string {
  return `WITH held AS MATERIALIZED (
    SELECT l.pid, l.objid::bigint AS n FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.classid = ${c < 0 ? c + UNSIGNED : c}::bigint::oid AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
  SELECT m.n - ${MEMBER}, pg_catalog.count(*), 0 FROM held AS m JOIN held AS s ON s.pid = m.pid AND s.n < ${MEMBER}
    WHERE m.n >= ${MEMBER} AND m.n < ${2 * MEMBER} GROUP BY m.n
  UNION ALL SELECT ${UNSIGNED - 1} - n, 0, 1 FROM held WHERE n >= ${2 * MEMBER}`;
}

type Row = readonly (string | null)[];

/** The permit that was had, if one was free. */
export function readGrab(rows: readonly Row[]): number | undefined {
  const slot = rows[0]?.[0] ?? undefined;
  return slot === undefined ? undefined : Number(slot);
}

/** Whether every lock was had. */
export function readAll(rows: readonly Row[]): boolean {
  return rows[0]?.every((one) => one === 't') === true;
}

export function readCensus(rows: readonly Row[]): CensusEntry[] {
  const found = new Map<number, { member: number; held: number; seeks: boolean }>();
  for (const row of rows) {
    const [member = 0, held = 0, seeks = 0] = row.map(Number);
    const entry = found.get(member) ?? { member, held: 0, seeks: false };
    entry.held += held;
    entry.seeks ||= seeks === 1;
    found.set(member, entry);
  }
  return [...found.values()];
}
