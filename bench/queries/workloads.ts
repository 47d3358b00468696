// What is asked of the database, and what a right answer looks like. Owns the texts, the formulas by which the tables were filled, and the
// checks; knows no pool.

export type Row = Readonly<Record<string, unknown>>;

/** Each contestant's own way to do it; nothing in between that would cost a promise. */
export interface Queries<R = unknown> {
  select1(): Promise<R>;
  /** Under a name where the contestant has names, else in the way in which it prepares. */
  byKey(aid: number): Promise<R>;
  /** A text and its values, as most programs write it. */
  byText(aid: number): Promise<R>;
  accounts(from: number, to: number): Promise<R>;
  wide(from: number, to: number): Promise<R>;
  insert(aid: number, delta: number): Promise<R>;
  /** BEGIN, UPDATE, SELECT, INSERT, COMMIT; resolves with what the SELECT found. */
  transfer(aid: number, delta: number): Promise<R>;
  /** The server refuses it: 22012. */
  failing(): Promise<R>;
  sqlStateOf(error: unknown): unknown;
  rowsOf(result: R): readonly Row[];
  countOf(result: R): number;
  end(): Promise<void>;
}

export const SQL = {
  select1: 'SELECT 1 AS x',
  byKey: 'SELECT abalance FROM bench_accounts WHERE aid = $1',
  accounts: 'SELECT aid, bid, abalance, filler FROM bench_accounts WHERE aid >= $1 AND aid < $2',
  wide: 'SELECT * FROM bench_wide WHERE id >= $1 AND id < $2',
  insert: 'INSERT INTO bench_history (aid, delta, mtime) VALUES ($1, $2, now())',
  update: 'UPDATE bench_accounts SET abalance = abalance + $1 WHERE aid = $2',
  failing: 'SELECT 1 / $1::int4 AS x',
} as const;

export const WIDE_ROWS = 10_000;
/** Balances begin at `aid % STEP` and change by multiples of it: whatever was updated, an answer can be told from another row's. */
export const STEP = 1_000;

/** The tables; `accounts` has as many rows as pgbench's at scale `rows / 100 000`. */
export function fill(rows: number): string[] {
  return [
    `CREATE TABLE bench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84))`,
    `INSERT INTO bench_accounts SELECT aid, (aid - 1) / 100000 + 1, aid % ${STEP}, 'account ' || aid FROM generate_series(1, ${rows}) aid`,
    `ALTER TABLE bench_accounts ADD PRIMARY KEY (aid)`,
    `CREATE TABLE bench_wide (id int PRIMARY KEY, d date, ts timestamp, tstz timestamptz, amount numeric(20, 6), big bigint, ratio float8,
       flag boolean, j json, jb jsonb, bin bytea, body text, tags text[], nums int[], uid uuid)`,
    `INSERT INTO bench_wide SELECT id, date '2020-01-01' + id % 1000, timestamp '2020-01-01' + id * interval '1 second',
       timestamptz '2020-01-01 00:00:00Z' + id * interval '1 second', id + 0.125, id * 1000003::bigint, id / 8.0::float8, id % 2 = 0,
       json_build_object('id', id, 'name', 'item ' || id, 'list', json_build_array(1, 2, 3)),
       jsonb_build_object('id', id, 'name', 'item ' || id, 'list', jsonb_build_array(1, 2, 3)),
       decode(repeat(lpad(to_hex(id % 256), 2, '0'), 64), 'hex'), repeat('lorem ipsum ', 8) || id, ARRAY['a' || id, 'b', 'c "d"'],
       ARRAY[id, id + 1, id + 2], md5(id::text)::uuid FROM generate_series(1, ${WIDE_ROWS}) id`,
    `CREATE TABLE bench_history (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aid int, delta int, mtime timestamptz)`,
  ];
}

export const NAMES = [
  'select1',
  'byKey',
  'byText',
  'rows10',
  'rows1000',
  'wide',
  'insert',
  'transfer',
  'errors',
] as const;
export type WorkloadName = (typeof NAMES)[number];

export interface Workload {
  /** `key` is a number of an account, at random. */
  ask(queries: Queries, key: number): Promise<unknown>;
  /** Throws if the answer is wrong. `deep` looks at every value. */
  check(queries: Queries, result: unknown, key: number, deep: boolean): void;
}

function must(holds: boolean, what: string, key: number, found: unknown): void {
  if (!holds) throw new Error(`wrong answer for ${key}: ${what}: ${JSON.stringify(found)?.slice(0, 300)}`);
}

function checkBalance(queries: Queries, result: unknown, key: number): void {
  const rows = queries.rowsOf(result);
  must(rows.length === 1 && Number(rows[0]?.abalance) % STEP === key % STEP, 'the balance', key, rows);
}

function checkAccounts(rows: readonly Row[], from: number, count: number, deep: boolean): void {
  must(rows.length === count, 'the number of rows', from, rows.length);
  if (!deep) return;
  const seen = new Set<number>();
  for (const { aid, bid, abalance, filler } of rows) {
    const key = Number(aid);
    seen.add(key);
    const right =
      key >= from &&
      key < from + count &&
      bid === Math.floor((key - 1) / 100_000) + 1 &&
      Number(abalance) % STEP === key % STEP &&
      filler === `account ${key}`.padEnd(84);
    must(right, 'an account', from, { aid, bid, abalance, filler });
  }
  must(seen.size === count, 'each account once', from, seen.size);
}

const DAY = 86_400_000;
const BEGAN = Date.UTC(2020, 0, 1);

function timeOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'string' || typeof value === 'number' ? new Date(value).getTime() : Number.NaN;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) || value instanceof Int32Array ? Array.from<unknown>(value) : [];
}

function isDocument(value: unknown, id: number): boolean {
  return JSON.stringify(value, ['id', 'name', 'list']) === `{"id":${id},"name":"item ${id}","list":[1,2,3]}`;
}

function wrongIn(row: Row): string | undefined {
  const id = Number(row.id);
  const at = BEGAN + id * 1_000;
  const right: Record<string, boolean> = {
    d: timeOf(row.d) === BEGAN + (id % 1_000) * DAY,
    ts: timeOf(row.ts) === at,
    tstz: timeOf(row.tstz) === at,
    amount: Number(row.amount) === id + 0.125,
    big: String(row.big) === String(id * 1_000_003),
    ratio: row.ratio === id / 8,
    flag: row.flag === (id % 2 === 0),
    j: isDocument(row.j, id),
    jb: isDocument(row.jb, id),
    bin: row.bin instanceof Uint8Array && row.bin.length === 64 && row.bin[63] === id % 256,
    body: row.body === `${'lorem ipsum '.repeat(8)}${id}`,
    tags: listOf(row.tags).join() === `a${id},b,c "d"`,
    nums: listOf(row.nums).join() === `${id},${id + 1},${id + 2}`,
    uid: typeof row.uid === 'string' && row.uid.length === 36,
  };
  return Object.keys(right).find((column) => right[column] === false);
}

function checkWide(rows: readonly Row[], from: number, deep: boolean): void {
  must(rows.length === WIDE, 'the number of rows', from, rows.length);
  if (!deep) return;
  const ids = new Set(rows.map(({ id }) => Number(id)));
  must(ids.size === WIDE && Math.min(...ids) === from, 'the rows asked for', from, [...ids]);
  for (const row of rows) {
    const column = wrongIn(row);
    must(column === undefined, `column ${column}`, from, row);
  }
}

const WIDE = 30;

function wideFrom(key: number): number {
  return 1 + (key % (WIDE_ROWS - WIDE));
}

/** Where the answer is looked at here, and what is left to check elsewhere is that it was this. */
const REFUSED = 'refused, as it should be';

function accounts(count: number): Workload {
  return {
    ask: (queries, key) => queries.accounts(key, key + count),
    check: (queries, result, key, deep) => checkAccounts(queries.rowsOf(result), key, count, deep),
  };
}

export const WORKLOADS: Readonly<Record<WorkloadName, Workload>> = {
  select1: {
    ask: (queries) => queries.select1(),
    check: (queries, result, key) => must(queries.rowsOf(result)[0]?.x === 1, 'x is 1', key, result),
  },
  byKey: { ask: (queries, key) => queries.byKey(key), check: checkBalance },
  byText: { ask: (queries, key) => queries.byText(key), check: checkBalance },
  rows10: accounts(10),
  rows1000: accounts(1_000),
  wide: {
    ask: (queries, key) => queries.wide(wideFrom(key), wideFrom(key) + WIDE),
    check: (queries, result, key, deep) => checkWide(queries.rowsOf(result), wideFrom(key), deep),
  },
  insert: {
    ask: (queries, key) => queries.insert(key, 1),
    check: (queries, result, key) => must(queries.countOf(result) === 1, 'one row inserted', key, result),
  },
  transfer: { ask: (queries, key) => queries.transfer(key, STEP), check: checkBalance },
  errors: {
    ask: (queries, key) => {
      if (key % 10 !== 0) return queries.byKey(key);
      return queries.failing().then(
        (result) => must(false, 'an error was due', key, result),
        (error: unknown) => {
          must(queries.sqlStateOf(error) === '22012', 'division by zero', key, String(error));
          return REFUSED;
        },
      );
    },
    check: (queries, result, key) => {
      if (key % 10 === 0) must(result === REFUSED, 'refused', key, result);
      else checkBalance(queries, result, key);
    },
  },
};
