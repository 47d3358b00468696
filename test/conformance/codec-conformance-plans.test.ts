// Whether a plan that is kept gives what pg gives when what it was made for changes, inside a transaction and outside: every way to show
// columns whose types are not written down in the text.

import test from 'node:test';
import { withClient, withServer } from '../postgres/harness.ts';
import type { Arguments } from './codec-corpus/entry.ts';
import { type Step, TABLE, tell, times } from './codec-stories.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

/** Each of them shows all columns, or the type of one, in its own way. */
const SHOWING: readonly Arguments[] = [
  ['table altered'],
  ['select altered from altered order by 1'],
  ['select altered.* from altered'],
  ['select (x).* from (select altered as x from altered) as t'],
  ['select v from (select * from altered) as v'],
  ['select x.* from altered as x where $1', [true]],
  ['with t as (table altered) table t'],
  ['select row_to_json(altered) as j from altered order by 1::text'],
  ['insert into altered select from altered where false returning *'],
  ['update altered set b = b where $1 returning altered', [true]],
  ['select first from altered natural join (select 1 as first) as t'],
  ['select b from altered'],
  ['select max(b) as b from altered'],
  ['select b from altered where b = $1', ['x']],
  ['select gives() as v'],
  ['select * from gives() as v'],
];

const SHOWN = `
  ${TABLE}
  alter table elsewhere.altered rename d to b;
  drop function if exists gives() cascade;
  create function gives() returns setof altered language sql as 'select * from altered';
  create or replace function changes_b() returns int language plpgsql as $$
  begin
    alter table altered alter b type varchar(9), add column later int;
    return 1;
  end $$;
`;

const BY_A_FUNCTION = 'a function alters the table inside a transaction';
const BY_ANOTHER = 'another session alters the table inside a transaction';

/** Nothing on this connection tells of the change, and inside a transaction an error cannot be made good. */
const UNLIKE: ReadonlySet<string> = new Set([
  `${BY_ANOTHER}: select b from altered`,
  `${BY_ANOTHER}: select b from altered where b = $1`,
  `${BY_A_FUNCTION}: select b from altered`,
  `${BY_A_FUNCTION}: select b from altered where b = $1`,
  // It fails while it runs, so it is not sent again; from the next use on it is parsed anew.
  `${BY_ANOTHER}: select * from gives() as v`,
  'a function alters the table: select * from gives() as v',
  'another session alters the table: select * from gives() as v',
]);

for (const [n, show] of SHOWING.entries()) {
  const [text] = show;
  const stories: Readonly<Record<string, readonly Step[]>> = {
    'the path changes': [['set search_path = elsewhere, public'], show, ['reset search_path']],
    'the path changes inside a transaction': [
      ['begin'],
      ['set local search_path = elsewhere, public'],
      show,
      ['rollback'],
    ],
    [BY_A_FUNCTION]: [['begin'], ['select changes_b()'], show, ['rollback']],
    'a function alters the table': [['select changes_b()'], show],
    [BY_ANOTHER]: [
      ['begin'],
      ['select 1 as one'],
      { admin: 'alter table altered alter b type varchar(9), add column later int' },
      show,
      ['rollback'],
    ],
    'another session alters the table': [
      { admin: 'alter table altered alter b type varchar(9), add column later int' },
      show,
    ],
  };
  for (const [what, steps] of Object.entries(stories))
    test(`when ${what}, what is prepared gives what pg gives: ${n}, ${text}`, (t) =>
      tell(t, server.config, admin, {
        before: SHOWN,
        steps: [...times(6, show), ...steps, show, show],
        ...(UNLIKE.has(`${what}: ${String(text)}`) ? { unlike: 'the change cannot be known' } : {}),
      }));
}
