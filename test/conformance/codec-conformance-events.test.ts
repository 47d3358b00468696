// Whether, while the codec speaks, everything else reaches those who listen as it does while pg speaks: notices, notifications, parameters of
// the session; and whether the ends of statements and of sessions look the same.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import { ConnectionLostError, type Lease, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import {
  eventually,
  killBackend,
  pidOf,
  rejection,
  runProgram,
  withClient,
  withPool,
  withServer,
} from '../postgres/harness.ts';
import { ask, countsOf } from './codec-doors.ts';
import { portrait } from './codec-portrait.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(`
  create function speaks(level text) returns int language plpgsql as $$
  begin
    raise notice 'notice %', level using detail = 'its detail', hint = 'its hint', errcode = 'AB123';
    raise warning 'warning %', level;
    return 1;
  end $$;
`);

const MODES: Readonly<Record<string, PoolOptions>> = {
  'speaker pg': { speaker: 'pg', prepare: false },
  'the codec, prepare false': { speaker: 'auto', prepare: false },
  'the codec, prepare always': { speaker: 'auto', prepare: 'always' },
};

const EVENTS = ['notice', 'notification', 'error', 'end'] as const;
const MESSAGES = ['parameterStatus', 'notice', 'notification', 'errorMessage'] as const;

/** What a client and its connection tell, in its order. */
function heard(client: pg.Client): unknown[] {
  const told: unknown[] = [];
  for (const event of EVENTS) client.on(event as 'notice', (what: unknown) => told.push([event, portrait(what)]));
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  for (const event of MESSAGES)
    connection.on(event, (what: unknown) => told.push([`connection: ${event}`, portrait(what)]));
  // What pg says to itself at the end of a reply: only the status in it is anybody's.
  connection.on('readyForQuery', (what: unknown) => told.push(['ready', Reflect.get(Object(what), 'status')]));
  return told;
}

/** Runs `story` with a lease of each kind of pool, and compares what it told. */
async function likewise(
  t: TestContext,
  story: (lease: Lease, pool: Pool) => Promise<unknown>,
  options: PoolOptions = {},
): Promise<void> {
  let expected: unknown;
  for (const [label, mode] of Object.entries(MODES)) {
    const pool = withPool(t, { ...server.config, ...options, ...mode, max: 1 });
    const came = await pool.use((lease) => story(lease, pool));
    if (expected === undefined) expected = came;
    else assert.deepStrictEqual(came, expected, label);
    const { queriesByCodec } = countsOf(pool);
    assert.equal(queriesByCodec > 0, mode.speaker === 'auto', label);
  }
}

test('notices are told with all their fields, before the rows of their statement', (t) =>
  likewise(t, async (lease) => {
    const told = heard(lease.client);
    for (let run = 0; run < 6; run += 1) {
      told.push(portrait(await lease.query('select speaks($1) as v', [`run ${run}`])));
      told.push(portrait(await lease.query(`select speaks('no value') as v`)));
    }
    return told;
  }));

test('a notification that arrives while a query runs is told, with all its fields', (t) =>
  likewise(t, async (lease) => {
    await lease.client.query('listen here');
    const pid = await pidOf(lease);
    const told: unknown[] = [];
    lease.client.on('notification', ({ processId, ...rest }) => {
      told.push(rest);
      assert.ok(processId > 0);
    });
    const sleeping = lease.query(`select pg_sleep(0.15), 1 as slept`);
    await admin.query(`select pg_notify('here', 'é, from another')`);
    told.push(portrait(await sleeping));
    told.push(portrait(await lease.query(`select pg_notify('here', $1) as v`, ['from itself'])));
    assert.equal(await pidOf(lease), pid);
    await eventually('both came', () => told.length >= 4);
    await lease.client.query('unlisten *');
    return told.map((one) => JSON.stringify(one)).sort();
  }));

test('a notification that arrives while nothing runs is told', (t) =>
  likewise(t, async (lease) => {
    await lease.client.query('listen there');
    await lease.query('select 1');
    const told: unknown[] = [];
    lease.client.on('notification', ({ channel, payload }) => told.push([channel, payload]));
    await admin.query(`notify there, 'x'; notify there, 'y'`);
    await eventually('both came', () => told.length === 2);
    told.push(portrait(await lease.query('select 2 as after')));
    await lease.client.query('unlisten *');
    return told;
  }));

test('parameters of the session are told, and change what dates look like', (t) =>
  likewise(t, async (lease) => {
    const told = heard(lease.client);
    const text = `select $1::timestamptz::text as v, $1::timestamptz as w`;
    for (const zone of ['UTC', 'Asia/Tokyo', 'America/St_Johns'])
      for (let run = 0; run < 3; run += 1) {
        await lease.query(`set timezone = '${zone}'`);
        told.push(portrait(await lease.query(text, ['2024-02-29 12:00+00'])));
      }
    await lease.query(`set datestyle = 'German, DMY'`);
    told.push(portrait(await lease.query(`select date '2024-02-29'::text as v`)));
    await lease.query('reset datestyle');
    await lease.query(`set application_name = 'told'`);
    await lease.query('set bytea_output = escape');
    told.push(portrait(await lease.query(`select $1::bytea as v`, [Buffer.from([0, 255, 92])])));
    await lease.query(`set client_min_messages = error`);
    told.push(portrait(await lease.query('select speaks($1)', ['unheard'])));
    await lease.query(`set standard_conforming_strings = off`);
    told.push(portrait(await lease.query(String.raw`select E'\\' as a, 'b' as b`)));
    await lease.query(`reset standard_conforming_strings`);
    return told;
  }));

test('a raw query of the client waits for the codec, and the codec for that', (t) =>
  likewise(t, async (lease) => {
    const order: string[] = [];
    const note = (name: string, answer: Promise<pg.QueryResult>): Promise<unknown> =>
      answer.then((result) => {
        order.push(name);
        return portrait(result);
      });
    const answers = await Promise.all([
      note('first', lease.query('select 1 as first, pg_sleep(0.02)')),
      note('raw', lease.client.query('select 2 as raw')),
      note('second', lease.query('select $1::int as second', [3])),
      note('raw named', lease.client.query({ name: 'raw', text: 'select $1::int as raw', values: [4] })),
      note('third', lease.query('select 5 as third')),
    ]);
    return [order, answers];
  }));

test('rows of a submittable are told one by one after the codec spoke, and the codec speaks after it', (t) =>
  likewise(t, async (lease) => {
    const told: unknown[] = [portrait(await lease.query('select 1 as before'))];
    await new Promise<void>((resolve, reject) => {
      const query = new pg.Query('select n from generate_series(1, $1) as n', [3]);
      query.on('row', (row: unknown) => told.push(row));
      query.on('end', () => resolve());
      query.on('error', reject);
      lease.client.query(query);
    });
    told.push(portrait(await lease.query('select 1 as after')));
    return told;
  }));

test('listeners of the client that throw do not disturb the codec', async () => {
  // In a process of its own: what is thrown there is its affair, as with pg.
  const { stdout, stderr, code } = await runProgram(
    `const thrown = [];
    process.on('uncaughtException', (error) => thrown.push(error.message));
    const pool = new Pool({ ...config, speaker: 'auto', max: 1 });
    await pool.use(async (lease) => {
      const loud = () => { throw new Error('from a listener'); };
      lease.client.on('notice', loud);
      const first = await lease.query('select speaks($1) as v', ['x']);
      lease.client.off('notice', loud);
      const second = await lease.query('select 2 as v');
      console.log(JSON.stringify([first.rows, second.rows, pool.stats().queriesByCodec, thrown]));
    });
    await pool.close();`,
    server.config,
  );
  assert.deepEqual(
    [stdout.trim(), stderr, code],
    ['[[{"v":1}],[{"v":2}],2,["from a listener","from a listener"]]', '', 0],
  );
});

test('a statement that takes too long for the server ends as with pg', (t) =>
  likewise(
    t,
    async (lease) => [
      portrait(placeless(await ask(lease, ['select pg_sleep(5)']))),
      portrait(await lease.query('select 1 as well')),
      portrait(
        placeless(await ask(lease, ['select n, pg_sleep(0.05) from generate_series(1, 100) as n where $1', [true]])),
      ),
      portrait(await lease.query('select $1::int as well', [1])),
    ],
    { statement_timeout: 150 },
  ));

/** Where the server was interrupted is chance. */
function placeless(outcome: unknown): unknown {
  const error: unknown = Reflect.get(Object(outcome), 'value');
  if (error instanceof Error) for (const key of ['file', 'line', 'routine', 'length']) Reflect.set(error, key, '?');
  return outcome;
}

test('a cancelled statement ends as with pg', (t) =>
  likewise(t, async (lease) => {
    const pid = await pidOf(lease);
    const cancelled = async (text: string, values?: unknown[]): Promise<unknown> => {
      const answer = ask(lease, [text, values]);
      await eventually('it runs', async () => {
        const { rows } = await admin.query('select state from pg_stat_activity where pid = $1 and query = $2', [
          pid,
          text,
        ]);
        return Reflect.get(Object(rows[0]), 'state') === 'active';
      });
      await admin.query('select pg_cancel_backend($1)', [pid]);
      return portrait(placeless(await answer));
    };
    return [
      await cancelled('select pg_sleep(30)'),
      portrait(await lease.query('select 1 as well')),
      await cancelled('select pg_sleep($1)', [30]),
      portrait(await lease.query('select $1::int as well', [1])),
    ];
  }));

/** Everything but what chance or the reader's place decides. */
function lost(error: ConnectionLostError): unknown {
  const { cause } = error;
  const fields = cause instanceof Error ? { ...cause, message: cause.message, class: cause.constructor.name } : cause;
  return { ...error, message: error.message, cause: fields, class: error.constructor.name };
}

for (const [what, text, values] of [
  ['while it sleeps', 'select pg_sleep(30)', undefined],
  ['while it sleeps, with a value', 'select pg_sleep($1)', [30]],
  [
    'in the middle of its rows',
    `select n, repeat('x', 1000) as v, pg_sleep(0.001) from generate_series(1, 100000) as n`,
    undefined,
  ],
] as const)
  test(`a session that is killed ${what} ends as with pg`, async (t) => {
    const came: unknown[] = [];
    for (const [label, mode] of Object.entries(MODES)) {
      const pool = withPool(t, { ...server.config, ...mode, max: 1, name: 'killed' });
      const { error, pid } = await pool.use(async (lease) => {
        const pid = await pidOf(lease);
        const failed = rejection(lease.query(text, values as unknown[] | undefined), ConnectionLostError);
        await eventually('it runs', async () => {
          const { rows } = await admin.query('select state from pg_stat_activity where pid = $1 and query = $2', [
            pid,
            text,
          ]);
          return Reflect.get(Object(rows[0]), 'state') === 'active';
        });
        await killBackend(admin, pid);
        return { error: await failed, pid };
      });
      assert.equal(error.mayHaveExecuted, true, label);
      came.push(JSON.parse(JSON.stringify(lost(error)).replaceAll(String(pid), 'its pid')));
      assert.deepEqual((await pool.query('select 1 as well')).rows, [{ well: 1 }], label);
    }
    const whole = came.map(placelessly);
    for (const one of whole) assert.deepStrictEqual(one, whole[0]);
  });

function placelessly(one: unknown): unknown {
  return JSON.parse(
    JSON.stringify(one, (key, value: unknown) => (['file', 'line', 'routine', 'length'].includes(key) ? '?' : value)),
  );
}
