// The corpus's failures on the server: every field that an error can have, errors before, in the middle of and after rows, in functions and
// constraints. Data only.

import { type Entry, entry, scenario } from './entry.ts';

/** What the file's server has to have first. */
export const ERRORS_SETUP = `
  create schema "odd schema";
  create table "odd schema"."odd table" (
    id int constraint "the key" primary key,
    "odd column" text not null,
    n int constraint "n is small" check (n < 10),
    d numeric(3, 1)
  );
  insert into "odd schema"."odd table" values (1, 'x', 1);
  create table parents (id int primary key);
  create table children (
    parent int constraint "has a parent" references parents deferrable initially deferred
  );
  create table apart (r int4range, constraint "no overlap" exclude using gist (r with &&));
  insert into apart values ('[1,5)');
  create domain small as int constraint "small it is" check (value < 10);
  create function fails(a int) returns int language plpgsql as $$
  begin
    return a / (a - a);
  end $$;
  create function fails_deeply(a int) returns int language plpgsql as $$
  begin
    perform fails(a);
    return 1;
  end $$;
  create function fails_in_sql(a int) returns int language sql as 'select a / (a - a)';
  create function speaks(level text) returns int language plpgsql as $$
  begin
    if level = 'debug' then raise debug 'a debug';
    elsif level = 'log' then raise log 'a log';
    elsif level = 'info' then raise info 'an info';
    elsif level = 'warning' then raise warning 'a warning é %', 1;
    else raise notice 'a notice' using detail = 'its detail', hint = 'its hint', errcode = 'AB123', column = 'col',
      constraint = 'con', datatype = 'dt', table = 'tab', schema = 'sch';
    end if;
    return 1;
  end $$;
  create function raises(code text) returns int language plpgsql as $$
  begin
    raise exception 'raised %', code using errcode = code, detail = 'its detail', hint = 'its hint', column = 'its column',
      constraint = 'its constraint', datatype = 'its type', table = 'its table', schema = 'its schema';
  end $$;
  create function asserts() returns int language plpgsql as $$ begin assert false, 'not so'; return 1; end $$;
`;

const TEXTS: Readonly<Record<string, readonly unknown[]>> = {
  'a table that is not there': ['select * from not_there'],
  'a column that is not there': ['select not_there from pg_class'],
  'a column that has another name, with a hint': ['select relnam from pg_class'],
  'a function that is not there': ['select not_there(1)'],
  'an operator that is not there': [`select 'a'::text + 1`],
  'a type that is not there': ['select 1::not_there'],
  'a schema that is not there': ['select * from not_there.pg_class'],
  'an ambiguous column': ['select oid from pg_class, pg_type'],
  'a syntax error': ['select 1 +'],
  'a syntax error beyond ASCII': [`select 'é😀' as "ü", from`],
  'a division by zero': ['select 1 / 0 as v'],
  'a division by zero of values': ['select $1::int / $2::int as v', [1, 0]],
  'an overflow': ['select 2147483647 + 1'],
  'no date': [`select '2024-02-30'::date`],
  'no JSON': [`select '{"a": }'::json`],
  'no JSON, as a value': ['select $1::json', ['{"a": }']],
  'no regular expression': [`select 'x' ~ '['`],
  'rows, then a division by zero': ['select 100 / (50 - n) as v from generate_series(1, 100) as n'],
  'many rows, then a division by zero': ['select n, 1 / (5000 - n) as v from generate_series(1, 10000) as n'],
  'rows, then a division by zero, as arrays': [
    { text: 'select 100 / (20 - n) as v from generate_series(1, 100) as n ', rowMode: 'array' },
  ],
  'a primary key': [`insert into "odd schema"."odd table" values (1, 'y')`],
  'not null': ['insert into "odd schema"."odd table" values ($1, $2)', [2, null]],
  'a check': [`insert into "odd schema"."odd table" values (3, 'y', 11) returning id`],
  'a number too large': [`insert into "odd schema"."odd table" values (4, 'y', 1, 1000)`],
  'a string too long': [`select 'abc'::varchar(2), cast('abc' as varchar(2))`, []],
  'an exclusion': [`insert into apart values ('[2,3)')`],
  'a domain': ['select $1::small', [11]],
  'an error in a function': ['select fails(1)'],
  'an error in a function in a function': ['select fails_deeply($1)', [1]],
  'an error in a function of SQL': ['select fails_in_sql(1)'],
  'an assertion': ['select asserts()'],
  'every field': [`select raises('XX123')`],
  'every field, with a value': ['select raises($1)', ['P0001']],
  'a code of class 08': [`select raises('08006')`],
  'a code of class 40': [`select raises('40001')`],
  'a code that says that a name is gone': [`select raises('26000')`],
  'a code that says that a plan is stale': [`select raises('0A000')`],
  'a code that says that a name is taken': [`select raises('42P05')`],
  'a feature that is not there': ['select * from pg_class for update of not_there'],
  'a row that is more than one': ['select (select oid from pg_class) as v'],
  'a window where there is none': ['select row_number() as v'],
  'no permission to read a file': [`select pg_read_file('/no/such/file')`],
  'a statement that takes too long': ['select pg_sleep(10)'],
  'an error of 100 000 characters': [`select repeat('é', 100000)::int`],
};

/** What the server says beside its answer. */
const NOTICES: readonly Entry[] = ['notice', 'info', 'warning', 'debug', 'log'].flatMap((level) => [
  entry(`said by a function: ${level}`, 'codec', [`select speaks('${level}')`]),
  entry(`said by a function, of a value: ${level}`, 'codec', ['select speaks($1) as v', [level]]),
]);

/** Some of them are tolerated for ever by a pool that condemns connections by such codes: then the next entry has another connection. */
export const ERRORS: readonly Entry[] = [
  ...Object.entries(TEXTS).map(([name, args]) =>
    entry(`an error: ${name}`, 'either', args, name.includes('class 08') ? { apart: true } : {}),
  ),
  ...NOTICES,
  entry('many notices', 'codec', [`select count(speaks('notice')) as v from generate_series(1, 200)`]),
  entry('notices, then an error', 'codec', [`select speaks('warning'), 1 / (2 - n) from generate_series(1, 3) as n`]),
  entry('a deferred constraint, at the end', 'codec', ['insert into children values (7)'], {
    doors: ['pool', 'lease'],
  }),
  scenario('a deferred constraint, at COMMIT', 'codec', [['begin'], ['insert into children values (8)'], ['commit']], {
    doors: ['lease'],
  }),
  scenario('an error, and all is well afterwards', 'either', [
    ['select nonsense'],
    ['select 1 as well'],
    ['select $1::int / 0', [1]],
    ['select $1::int as well', [1]],
  ]),
  scenario(
    'an error in a transaction, and what follows',
    'either',
    [
      ['select $1::int as before', [1]],
      ['select $1::int / 0', [1]],
      ['select 1 as refused'],
      ['insert into parents values (1)'],
    ],
    { doors: ['tx'] },
  ),
];
