// What the codec makes of the texts of a pool: which of them it speaks, which are prepared by themselves and from which use on, how many are
// remembered, and how many names one connection has at most.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prepared } from '../../src/pg/prepared.ts';
import { type Text, Texts } from '../../src/pg/texts.ts';

const texts = new Texts('auto');

function judged(text: string): string {
  const { ordinary, planned } = texts.of(text);
  return planned ? 'planned' : ordinary ? 'ordinary' : 'left to pg';
}

test('one statement that gives nothing but rows is planned, whatever is around and in it', () => {
  for (const text of [
    'select 1',
    'SELECT 1;',
    ' ;; select 1 ;; ',
    '-- a comment; with a semicolon\nselect 1',
    '/* one /* in another; */ ; */ select 1 /* and; behind */;',
    '((select 1) union (select 2))',
    "select ';'",
    "select 'it''s; one'",
    "select e'\\'; select 2'",
    'select $$; select 2$$',
    'select $a$; $b$ $$ $a$',
    'select ";" from t',
    'select u&"d\\0061t;a"',
    "select u&';'",
    'values (1), (2)',
    'table t',
    'with x as (select 1) select * from x',
    'with x as (delete from t returning *) select * from x',
    "insert into t values ('; drop table t')",
    'update t set a = 1',
    'delete from t',
    'merge into t using s on t.a = s.a when matched then delete',
    'select "into" from t',
    "select 'into'",
    'select 1 -- into',
    'SeLeCt 1',
    'select now()',
    'select now ( )',
    "select 'nowhere', knowing from t",
  ])
    assert.equal(judged(text), 'planned', text);
});

test('what makes a table, what says the moment in a literal, and what is sent as it is, is spoken and never prepared', () => {
  for (const text of [
    'select 1 into t',
    'select * INTO TEMP t from s',
    'with x as (select 1) select * into t from x',
    '(select 1 into t)',
    'begin',
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
    'start transaction',
    'commit',
    'end',
    'rollback to savepoint a',
    'abort',
    'savepoint a',
    'release a',
    'set a.b = 1',
    'show all',
    "select timestamptz 'now'",
    "select date ' Today '",
    "select * from t where at > timestamp '10:00 tomorrow'",
    "select 'YESTERDAY'::date",
  ])
    assert.equal(judged(text), 'ordinary', text);
});

test('what may have another reply, or is cut elsewhere by the server, is left to pg', () => {
  for (const text of [
    '',
    ';',
    '-- nothing',
    'select 1; select 2',
    'begin; commit',
    "select 'a\\'; select 2; --'",
    "select n'a\\' , '; select 2'",
    "select 'unended",
    'select /* unended',
    'select /* /* */ unended',
    'select $a$ unended $A$',
    'select "unended',
    'copy t from stdin',
    'copy (select 1) to stdout',
    'explain select 1',
    'call p()',
    'do $$ begin end $$',
    'create table t ()',
    'deallocate all',
    'discard all',
    'prepare a as select 1',
    'execute a',
    'declare c binary cursor for select 1',
    'fetch all from c',
    'listen a',
    'notify a',
    'vacuum',
    'select 1\0',
    `select '${'x'.repeat(16_384)}'`,
    '"select" 1',
    '\u00a0select 1',
    '\ufeffselect 1',
    'selec\u017f 1',
    '$1',
  ])
    assert.equal(judged(text), 'left to pg', JSON.stringify(text.slice(0, 40)));
});

test('a text that is used the fifth time has a name, one of its own, for good', () => {
  const some = new Texts('auto');
  const [a, b] = [some.of('select 1'), some.of('select 2')];
  const uses = Array.from({ length: 6 }, () => [some.use(a), some.use(b)]);
  assert.deepEqual(uses.slice(0, 4), Array(4).fill([undefined, undefined]));
  assert.equal(new Set(uses[4]).size, 2);
  assert.deepEqual(uses[5], uses[4]);
  assert.equal(some.use(some.of('begin')), undefined);
});

test('asked to, it names a text at its first use; asked not to, at none', () => {
  const [always, never] = [new Texts('always'), new Texts(false)];
  assert.notEqual(always.use(always.of('select 1')), undefined);
  assert.equal(always.use(always.of('select 1 into t')), undefined);
  const text = never.of('select 1');
  for (let n = 0; n < 10; n += 1) assert.equal(never.use(text), undefined);
});

test('what vanished three times from under a pool is no longer prepared', () => {
  const some = new Texts('always');
  const text = some.of('select 1');
  for (let n = 0; n < 2; n += 1) some.vanished();
  assert.notEqual(some.use(text), undefined);
  some.vanished();
  assert.equal(some.use(text), undefined);
  assert.equal(some.prepares, false);
});

test('a text in use is remembered however many others come by, one that is not is forgotten, and long ones take no room', () => {
  const some = new Texts('auto');
  const hot = some.of('select hot');
  const cold = some.of('select cold');
  hot.uses = 3;
  for (let n = 0; n < 10_000; n += 1) {
    some.of(`select ${n}`);
    if (n % 500 === 0) assert.equal(some.of('select hot'), hot);
  }
  assert.notEqual(some.of('select cold'), cold);
  const others = new Texts('auto');
  const short = others.of('select short');
  const long = `select '${'x'.repeat(20_000)}`;
  for (let n = 0; n < 5_000; n += 1) others.of(long + n);
  assert.equal(others.of('select short'), short);
});

test('one connection has a hundred names and no more; the one that was not used for longest makes room', () => {
  const some = new Texts('always');
  const prepared = new Prepared();
  const named = (n: number): Text => {
    const text = some.of(`select ${n}`);
    some.use(text);
    return text;
  };
  for (let n = 0; n < 100; n += 1) assert.equal(prepared.add(named(n)), undefined);
  prepared.touch(named(0));
  assert.equal(prepared.add(named(100)), named(1).name);
  assert.equal(prepared.add(named(100)), undefined, 'prepared once more: it had its place');
  assert.equal(prepared.add(named(101)), named(2).name);
  assert.equal(prepared.add(named(1)), named(3).name);
});
