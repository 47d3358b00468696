// The corpus's forms of query(): texts, configs and callbacks in every shape that pg takes or refuses, and the kinds of statements. Data
// only; what values become is in parameters.ts, what errors look like in errors.ts.

import pg from 'pg';
import { type Entry, entry, fresh, scenario } from './entry.ts';

/** What the file's server has to have first. */
export const FORMS_SETUP = `
  create table items (id int primary key, v text, n numeric default 1.5);
  insert into items values (1, 'one'), (2, 'two'), (3, null);
  create table written (id int primary key, v text);
  create table ruled (id int);
  create table ruled_log (id int);
  create rule also as on insert to ruled do also insert into ruled_log values (new.id);
  create rule twice as on update to ruled do also select 'from the rule' as v, 1 as one;
  create table instead (id int);
  create rule instead as on insert to instead do instead select id, v from items order by id;
  create rule nothing as on delete to instead do instead nothing;
  create view seen as select id, v from items;
  create procedure does_nothing() language sql as 'select 1';
  create procedure gives_out(inout a int, inout b text default 'b') language plpgsql as $$ begin a := a + 1; end $$;
  create function twofold(a int) returns int language sql as 'select a * 2';
  create function many_rows(a int) returns table (x int, y text) language sql as 'select n, n::text from generate_series(1, a) as n';
`;

const CLEAN = 'truncate written; truncate ruled; truncate ruled_log; insert into written values (1, null)';

class Asked {
  text = 'select 1 as by_class';
}

class AskedByGetter {
  get text(): string {
    return 'select 1 as by_getter_of_class';
  }
}

class NotedQuery extends pg.Query {}

const CALLED: readonly Entry[] = (
  [
    ['a text', 'codec', ['select 1 as called']],
    ['a text and values', 'codec', ['select $1::int as called', [1]]],
    ['a text and undefined', 'codec', ['select 2 as called', undefined]],
    ['a config', 'codec', [{ text: 'select 3 as called' }]],
    ['a config and values', 'codec', [{ text: 'select $1::text as called' }, ['x']]],
    ['rows as arrays', 'codec', [{ text: 'select 4 as called', rowMode: 'array' }]],
    ['an error', 'codec', ['select nonsense']],
    ['an error of a value', 'codec', ['select $1::int as called', ['x']]],
    ['several statements', 'pg', ['select 1 as a; select 2 as b']],
    ['an empty text', 'pg', ['']],
  ] as const
).map(([name, speaks, args]) =>
  entry(`called back: ${name}`, speaks, args, {
    callback: true,
    ...(name.startsWith('an error')
      ? {}
      : { deviates: 'a pool calls back with undefined where a client does with null' }),
  }),
);

const TEXTS: readonly Entry[] = [
  entry('a text', 'codec', ['select 1 as text_only'], { prepared: true }),
  entry('a text and values', 'codec', ['select $1::int as a, $2::text as b', [1, 'x']], { prepared: true }),
  entry('an empty text', 'pg', ['']),
  entry('blanks', 'pg', [' \n\t ']),
  entry('a comment', 'pg', ['-- nothing']),
  entry('a block comment', 'pg', ['/* nothing /* nested */ */']),
  entry('semicolons', 'pg', [';;;']),
  entry('a comment before and behind', 'codec', ['/* a */ select 1 as commented -- b'], { prepared: true }),
  entry('a semicolon at the end', 'codec', ['select 1 as ended;'], { prepared: true }),
  entry('semicolons at the end', 'codec', ['select 1 as ended ; ; -- more']),
  entry('a semicolon in a literal', 'codec', [`select 'a;b' as v`], { prepared: true }),
  entry('a semicolon in a dollar quote', 'codec', ['select $x$a;b$x$ as v']),
  entry('a semicolon in a name', 'codec', ['select 1 as "a;b"']),
  entry('an escape string', 'codec', [`select E'a\\nb\\u00e9' as v`]),
  entry('a string with a backslash at its end', 'pg', [`select 'a\\' as v`]),
  entry('a Unicode string', 'codec', [`select U&'d\\0061t' as v`]),
  entry('brackets around', 'codec', ['(select 1 as a) union all (select 2) order by 1']),
  entry('capitals', 'codec', ['SELECT 1 AS A, 2 AS "A"'], { prepared: true }),
  entry('beyond ASCII', 'codec', [`select '连接池 😀' as "é"`]),
  entry('a text of 17 000 characters', 'either', [`select '${'x'.repeat(17_000)}' as v`]),
  entry('a text of 200 000 characters', 'either', [`select '${'é'.repeat(200_000)}' as v`]),
  entry('a text with NUL', 'pg', ['select 1 as a\0']),
  entry('a text with a lone surrogate', 'either', [`select '\ud83d' as v`]),
  entry('two statements', 'pg', ['select 1 as a; select 2 as b, 3 as c']),
  entry('three statements, with an empty one', 'pg', ['select 1 as a;; select from items; select 2 as a']),
  entry('statements of several kinds', 'pg', [`select 1 as a; set local work_mem = '1MB'; show work_mem`]),
  entry('statements, the second fails', 'pg', ['select 1 as a; select 1 / 0; select 2 as b']),
  entry('statements with values', 'pg', ['select $1::int as a; select 2 as b', [1]]),
  entry('statements as arrays', 'pg', [{ text: 'select 1 as a; select 2 as b', rowMode: 'array' }]),
  entry('a syntax error', 'either', ['selec 1']),
  entry('a syntax error behind select', 'codec', ['select 1 from from']),
  entry('an open string', 'pg', [`select 'a`]),
  entry('an open comment', 'pg', ['select 1 /* a']),
];

const CONFIGS: readonly Entry[] = [
  entry('a config', 'codec', [{ text: 'select 1 as config' }], { prepared: true }),
  entry('a config with values', 'codec', [{ text: 'select $1::int as a', values: [1] }], { prepared: true }),
  entry('a config and values apart', 'codec', [{ text: 'select $1::int as b' }, [2]]),
  entry('a config with values and others apart', 'codec', [{ text: 'select $1::int as c', values: [1] }, [2]]),
  entry('a config with values and none apart', 'codec', [{ text: 'select $1::int as d', values: [1] }, undefined]),
  entry('a config with values and an empty array apart', 'codec', [{ text: 'select 1 as e', values: [1] }, []]),
  entry('a config of undefined', 'codec', [
    { text: 'select 1 as f', values: undefined, name: undefined, rowMode: undefined, types: undefined },
  ]),
  entry('a config of null', 'codec', [{ text: 'select 1 as g', values: null, name: null, rowMode: null, types: null }]),
  entry('rowMode array', 'codec', [{ text: 'select 1 as a, 2 as a', rowMode: 'array' }], { prepared: true }),
  entry('rowMode of another kind', 'codec', [{ text: 'select 1 as h', rowMode: 'object' }]),
  entry('rowMode that is no string', 'either', [{ text: 'select 1 as i', rowMode: ['array'] }]),
  entry('rowMode array, no rows', 'codec', [{ text: 'select 1 as a where false', rowMode: 'array' }]),
  entry('queryMode extended', 'pg', [{ text: 'select 1 as j', queryMode: 'extended' }]),
  entry('queryMode simple', 'either', [{ text: 'select 1 as k', queryMode: 'simple' }]),
  entry('queryMode extended, of two statements', 'pg', [{ text: 'select 1; select 2', queryMode: 'extended' }]),
  entry('rows', 'pg', [{ text: 'select n from generate_series(1, 5) as n', rows: 2 }]),
  entry('rows and values', 'pg', [{ text: 'select n from generate_series(1, $1) as n', rows: 2, values: [4] }]),
  entry('rows of an empty text', 'pg', [{ text: '', rows: 2 }]),
  entry('a portal', 'pg', [{ text: 'select $1::int as l', values: [1], portal: 'door' }]),
  entry('binary', 'pg', [{ text: 'select $1::int as a, $2::text as b', values: [1, 'x'], binary: true }]),
  entry('binary, of types that have no parser', 'pg', [
    { text: 'select $1::uuid as a', values: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], binary: true },
  ]),
  entry('binary false', 'either', [{ text: 'select 1 as m', binary: false }]),
  entry('keys that nobody knows', 'either', [{ text: 'select 1 as n', unknown: true, other: undefined }]),
  entry('a callback that is no function', 'either', [{ text: 'select 1 as o', callback: 7 }], {
    deviates: 'a client throws, a pool rejects',
  }),
  fresh('a config of a class', 'pg', () => [new Asked()]),
  fresh('a config of a class with getters', 'pg', () => [new AskedByGetter()]),
  fresh('a config without a prototype', 'either', () => [
    Object.assign(Object.create(null), { text: 'select 1 as p' }),
  ]),
  fresh('a config whose text is inherited', 'pg', () => [Object.create({ text: 'select 1 as q' })]),
  fresh('a config with a getter', 'either', () => [
    {
      get text() {
        return 'select $1::int as r';
      },
      get values() {
        return [1];
      },
    },
  ]),
  fresh('a config with a getter that changes', 'either', () => {
    let asked = 0;
    return [
      {
        get text() {
          asked += 1;
          return `select ${asked > 0 ? 1 : 0} as s`;
        },
      },
    ];
  }),
  fresh(
    'a config with a getter that throws',
    'either',
    () => [
      {
        get text(): string {
          throw new RangeError('refused by the getter');
        },
      },
    ],
    { deviates: 'a client throws, a pool rejects' },
  ),
  fresh('a config with hidden keys', 'either', () => [
    Object.defineProperties({}, { text: { value: 'select $1::int as t' }, values: { value: [1] } }),
  ]),
  fresh('a config that is a proxy', 'either', () => [new Proxy({ text: 'select 1 as u' }, {})]),
  entry('a frozen config', 'codec', [Object.freeze({ text: 'select $1::int as w', values: Object.freeze([1]) })]),
  entry('a frozen config with a name', 'either', [
    Object.freeze({ text: 'select $1::int as x', values: Object.freeze([1]), name: 'frozen' }),
  ]),
  entry('a config with a symbol', 'codec', [{ text: 'select 1 as y', [Symbol('s')]: 1 }]),
  entry('a text that is an object', 'pg', [{ text: new String('select 1 as z') }]),
  entry('a String object', 'either', [new String('select 1 as aa')]),
  entry('a number', 'either', [7]),
  entry('an array', 'either', [['select 1']]),
  entry('a config without a text', 'either', [{}]),
  entry('a config with values and no text', 'either', [{ values: [1] }]),
  entry('a text of null', 'either', [{ text: null }]),
  entry('a text of null with a name that nobody knows', 'either', [{ text: null, name: 'nobody' }]),
  entry('null', 'either', [null], { deviates: 'a client throws, a pool rejects' }),
  entry('undefined', 'either', [undefined], { deviates: 'a client throws, a pool rejects' }),
  fresh('a submittable', 'either', () => [new pg.Query('select 1 as submitted')], {
    doors: ['pool', 'lease'],
    deviates: 'a submittable is what a client gives back',
    closures: true,
  }),
  fresh('a submittable of a class of its own', 'either', () => [new NotedQuery('select $1::int as submitted', [1])], {
    doors: ['pool', 'lease'],
    deviates: 'a submittable is what a client gives back',
    closures: true,
  }),
];

const NAMED: readonly Entry[] = [
  scenario(
    'a name',
    ['pg', 'codec', 'codec'],
    [
      [{ name: 'one', text: 'select $1::int as a', values: [1] }],
      [{ name: 'one', text: 'select $1::int as a', values: [2] }],
      [{ name: 'one', text: 'select $1::int as a', values: [3] }],
    ],
    { apart: true, doors: ['lease'] },
  ),
  ...['n', '__proto__', 'constructor', 'toString', '', 'é'.repeat(20), 'x'.repeat(63), 'oxbow_1', '1', `"'\\`].map(
    (name) =>
      scenario(
        `the name ${JSON.stringify(name)}`,
        'either',
        [
          [{ name, text: 'select $1::int as a', values: [1] }],
          [{ name, text: 'select $1::int as a', values: [2] }],
          [{ name, text: 'select $1::int as a', values: [2], rowMode: 'array' }],
          [{ name, text: 'select $1::int as other', values: [3] }],
          ['select 1 as still_there'],
        ],
        { apart: true },
      ),
  ),
  scenario(
    'a name without a text',
    'either',
    [
      [{ name: 'first', text: 'select $1::int as a', values: [1] }],
      [{ name: 'first', values: [2] }],
      [{ name: 'second', values: [2] }],
      ['select 1 as still_there'],
    ],
    { apart: true, doors: ['lease'] },
  ),
  scenario(
    'a name that fails',
    'either',
    [
      [{ name: 'bad', text: 'select nonsense' }],
      [{ name: 'bad', text: 'select 1 as a' }],
      [{ name: 'bad', text: 'select 1 as a' }],
      [{ name: 'bad', text: 'select 2 as a' }],
    ],
    { apart: true, doors: ['lease'] },
  ),
  scenario(
    'a name whose value fails',
    'either',
    [
      [{ name: 'v', text: 'select $1::int as a', values: ['x'] }],
      [{ name: 'v', text: 'select $1::int as a', values: [1] }],
      [{ name: 'v', text: 'select $1::int as a', values: [1, 2] }],
      [{ name: 'v', text: 'select $1::int as a' }],
      [{ name: 'v', text: 'select $1::int as a', values: [2] }],
    ],
    { apart: true, doors: ['lease'] },
  ),
  scenario(
    'a name longer than names of the server',
    'either',
    [
      [{ name: 'y'.repeat(70), text: 'select $1::int as a', values: [1] }],
      [{ name: 'y'.repeat(70), text: 'select $1::int as a', values: [2] }],
    ],
    { apart: true, doors: ['lease'] },
  ),
];

/** As the first statement of a transaction these are pg's: BEGIN cannot travel with them, whose reply depends on the protocol. */
function ruled(one: Entry): Entry {
  const [[query, values] = []] = one.steps();
  const writes =
    typeof query === 'string' && values === undefined && /^(?:insert|update|delete|merge|with)\b/i.test(query);
  return writes ? { ...one, speaks: 'either' } : one;
}

const KINDS: readonly Entry[] = [
  entry('TABLE', 'codec', ['table items'], { prepared: true }),
  entry('VALUES', 'codec', [`values (1, 'a'), (2, null)`], { prepared: true }),
  entry('WITH', 'codec', ['with a as (select 1 as x) select * from a'], { prepared: true }),
  entry('WITH that writes', 'codec', [`with a as (insert into written values (2, 'w') returning id) select * from a`], {
    before: CLEAN,
  }),
  entry('SELECT of a view', 'codec', ['select * from seen order by id']),
  entry('SELECT of a function', 'codec', ['select * from many_rows($1)', [3]]),
  entry('SELECT FOR UPDATE', 'codec', ['select * from items order by id for update']),
  entry('SELECT INTO', 'codec', ['select 1 as a into temp made_by_select'], {
    doors: ['tx'],
  }),
  entry('INSERT', 'codec', [`insert into written values (2, 'a')`], { before: CLEAN, prepared: false }),
  entry('INSERT of no rows', 'codec', ['insert into written select id, v from items where false'], { before: CLEAN }),
  entry('INSERT of rows', 'codec', ['insert into written select id + 10, v from items'], { before: CLEAN }),
  entry('INSERT RETURNING', 'codec', [`insert into written values (2, $1) returning id, v, id as id`, ['a']], {
    before: CLEAN,
    prepared: true,
  }),
  entry(
    'INSERT RETURNING as arrays',
    'codec',
    [{ text: `insert into written values (2, $1) returning id, v`, values: ['a'], rowMode: 'array' }],
    { before: CLEAN },
  ),
  entry('INSERT ON CONFLICT', 'codec', [`insert into written values (1, 'a') on conflict (id) do nothing`], {
    before: CLEAN,
  }),
  entry('UPDATE', 'codec', [`update written set v = 'b'`], { before: CLEAN, prepared: false }),
  entry('UPDATE of nothing', 'codec', [`update written set v = 'b' where false`], { before: CLEAN }),
  entry('UPDATE RETURNING', 'codec', [`update written set v = $1 returning *`, ['c']], { before: CLEAN }),
  entry('DELETE', 'codec', ['delete from written'], { before: CLEAN, prepared: false }),
  entry('DELETE RETURNING', 'codec', ['delete from written where id = $1 returning v', [1]], { before: CLEAN }),
  entry(
    'MERGE',
    'codec',
    [
      `merge into written w using items i on w.id = i.id when matched then update set v = i.v
     when not matched then insert values (i.id, i.v)`,
    ],
    { before: CLEAN, prepared: false },
  ),
  entry('INSERT with a rule', 'codec', ['insert into ruled values (1)'], { before: CLEAN }),
  entry('INSERT with a rule, RETURNING', 'codec', ['insert into ruled values (1) returning id'], { before: CLEAN }),
  entry('UPDATE with a rule that selects', 'codec', ['update ruled set id = 2'], { before: CLEAN }),
  entry('INSERT with a rule that selects instead', 'codec', ['insert into instead values (1)']),
  entry('INSERT with a rule that selects instead, with a value', 'codec', ['insert into instead values ($1)', [1]]),
  entry('DELETE with a rule that does nothing', 'codec', ['delete from instead']),
  entry('SHOW', 'codec', ['show server_version_num']),
  entry('SHOW with several words', 'codec', ['show transaction isolation level']),
  entry('SHOW of what is not there', 'codec', ['show no.such']),
  entry('SET', 'codec', [`set work_mem = '2MB'`]),
  entry('SET of what is not there', 'codec', ['set no_such_setting = 1']),
  entry('SET LOCAL', 'codec', [`set local work_mem = '3MB'`]),
  entry('RESET', 'either', ['reset work_mem']),
  entry('EXPLAIN', 'either', ['explain (costs off) select * from items where id = $1', [1]]),
  entry('EXPLAIN as JSON', 'either', ['explain (costs off, format json) select 1']),
  entry('DO', 'either', [`do $$ begin raise notice 'from a block'; end $$`]),
  entry('CALL', 'either', ['call does_nothing()']),
  entry('CALL with values that come out', 'either', ['call gives_out($1)', [1]]),
  entry('LISTEN and UNLISTEN', 'either', ['listen somewhere']),
  entry('NOTIFY', 'either', [`notify nobody_listens, 'x'`]),
  entry('CREATE TABLE', 'either', ['create temp table made (a int)'], { doors: ['tx'] }),
  entry('CREATE TABLE AS', 'either', ['create temp table made_as as select 1 as a'], { doors: ['tx'] }),
  entry('ALTER TABLE', 'either', ['alter table items alter column v set default null'], { doors: ['tx'] }),
  entry('DROP TABLE IF EXISTS', 'either', ['drop table if exists never_there']),
  entry('TRUNCATE', 'either', ['truncate written']),
  entry('LOCK', 'either', ['lock table items in access share mode']),
  entry('VACUUM', 'either', ['vacuum written']),
  entry('ANALYZE', 'either', ['analyze written']),
  entry('CHECKPOINT', 'either', ['checkpoint'], { doors: ['pool'] }),
  entry('DISCARD', 'either', ['discard temp'], { doors: ['pool', 'lease'] }),
  entry('COPY FROM STDIN', 'either', ['copy written from stdin']),
  entry('COPY TO STDOUT', 'either', ['copy items to stdout']),
  entry('COPY of a query', 'either', ['copy (select 1) to stdout']),
  entry('COPY FROM STDIN with values', 'either', ['copy written from stdin', ['x']]),
  entry('FETCH of no cursor', 'either', ['fetch all from nowhere']),
  entry('EXECUTE of nothing prepared', 'either', ['execute nothing_prepared']),
  entry('DEALLOCATE of nothing prepared', 'either', ['deallocate nothing_prepared']),
  scenario(
    'PREPARE, EXECUTE, DEALLOCATE',
    'either',
    [
      ['prepare by_text (int) as select $1 + 1 as n'],
      ['execute by_text (1)'],
      ['execute by_text (2)'],
      ['deallocate by_text'],
      ['execute by_text (3)'],
    ],
    { apart: true, doors: ['lease', 'tx'] },
  ),
  scenario(
    'DECLARE, FETCH, CLOSE',
    'either',
    [
      ['declare c cursor for select n from generate_series(1, 5) as n'],
      ['fetch 2 from c'],
      ['fetch all from c'],
      ['fetch 1 from c'],
      ['close c'],
    ],
    { doors: ['tx'] },
  ),
].map(ruled);

const TRANSACTIONS: readonly Entry[] = [
  scenario(
    'BEGIN, statements, ROLLBACK',
    ['codec', 'codec', 'codec', 'codec'],
    [['begin'], ['update written set v = $1 returning v', ['in']], ['select v from written'], ['rollback']],
    { before: CLEAN, doors: ['lease'] },
  ),
  // The error is known before the end of its reply: whoever asks at once has his query queued by pg.
  scenario(
    'BEGIN, an error, and what follows',
    'either',
    [
      ['begin'],
      ['select 1 / 0'],
      ['select 1 as refused'],
      ['select $1::int as refused_too', [1]],
      ['rollback'],
      ['select 1 as well_again'],
    ],
    { doors: ['lease'] },
  ),
  scenario(
    'a savepoint',
    'either',
    [
      ['begin'],
      ['savepoint a'],
      ['select nonsense'],
      ['rollback to savepoint a'],
      ['release savepoint a'],
      ['select 1 as kept'],
      ['commit'],
    ],
    { doors: ['lease'] },
  ),
  scenario(
    'a savepoint inside',
    'either',
    [['savepoint a'], ['select nonsense'], ['select 1 as refused'], ['rollback to savepoint a'], ['select 1 as kept']],
    { doors: ['tx'] },
  ),
  scenario('COMMIT and ROLLBACK of nothing', 'codec', [['commit'], ['rollback'], ['end'], ['abort']], {
    doors: ['pool', 'lease'],
  }),
  scenario(
    'START TRANSACTION with its modes',
    'either',
    [['start transaction isolation level serializable read only'], ['insert into written values (9)'], ['rollback']],
    { doors: ['lease'] },
  ),
  scenario('COMMIT that is answered with ROLLBACK', 'either', [['begin'], ['select 1 / 0'], ['commit']], {
    doors: ['lease'],
    deviates: 'a lease says that nothing was kept',
  }),
  scenario('BEGIN twice', 'codec', [['begin'], ['begin'], ['rollback']], { doors: ['lease'] }),
  entry('BEGIN through the pool', 'nobody', ['begin'], { doors: ['pool'], deviates: 'a pool refuses it' }),
  scenario('COMMIT AND CHAIN', 'codec', [['begin'], ['commit and chain'], ['select 1 as a'], ['rollback']], {
    doors: ['lease'],
  }),
];

export const FORMS: readonly Entry[] = [...TEXTS, ...CONFIGS, ...CALLED, ...NAMED];

export const STATEMENTS: readonly Entry[] = [...KINDS, ...TRANSACTIONS];
