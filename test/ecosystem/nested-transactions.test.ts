// A query through the pool inside a transaction, or a second transaction, when every connection is held by one that does the same: the hang
// that ORMs invite. Whoever times out is told which lines of the user's own file hold the connections and what they last ran. Prisma's part
// runs in test/slow/libraries.test.ts, with the packages it needs.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { transform } from 'esbuild';
import { root } from '../laws/tree.ts';
import { withClient, withServer } from '../postgres/harness.ts';
import {
  assertLimits,
  assertNamed,
  assertUnnamed,
  type Jam,
  type Library,
  lineAfter,
  nested,
  runNested,
  TABLES,
} from './nested.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query(TABLES);
const { url } = server;

const LIBRARIES: Readonly<Record<Exclude<Library, 'prisma'>, string>> = {
  drizzle: 'Drizzle',
  kysely: 'Kysely',
  knex: 'Knex',
};

for (const [library, name] of Object.entries(LIBRARIES) as [Library, string][]) {
  for (const from of ['oxbow', 'oxbow/pg']) {
    test(`who times out in a nested transaction of ${name}, on the pool of ${from}, is told the lines that hold the connections`, () =>
      assertNamed(library, { url, from }));
  }
  test(`who times out in a nested transaction of ${name} on pg's own pool is told "timeout exceeded when trying to connect"`, () =>
    assertUnnamed(library, { url }));
}

test('in dev mode the lines of all that hold a connection are told', () =>
  assertNamed('kysely', { url, from: 'oxbow', environment: { OXBOW_DEV: '1' } }));

test('a transaction that is returned and not awaited is named where it is awaited, with Kysely and Knex', async () => {
  await assertLimits('kysely', { url, from: 'oxbow' });
  await assertLimits('knex', { url, from: 'oxbow' });
});

test('Drizzle asks for its connection in the turn of the call, so it is named even if nobody awaits it', () =>
  assertLimits('drizzle', { url, from: 'oxbow' }));

test('in TypeScript run with source maps the lines are those of the source', async (t) => {
  const folder = join(root, '.tmp', 'nested');
  const file = join(folder, 'drizzle', 'orders.mjs');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'drizzle'), { recursive: true });
  writeFileSync(join(folder, 'main.mjs'), readFileSync(join(nested, 'main.mjs')));
  const source = readFileSync(join(nested, 'drizzle', 'orders.mjs'), 'utf8');
  const { code } = await transform(source, {
    loader: 'ts',
    sourcefile: 'orders.ts',
    sourcemap: 'inline',
    minify: true,
  });
  writeFileSync(file, code);
  const environment = { NODE_OPTIONS: '--enable-source-maps' };
  const given = { url, from: 'oxbow', folder, environment };
  const { order } = await runNested<{ order: Jam }>('main.mjs', 'drizzle', ['order=2'], given);
  const site = `orders.ts:${lineAfter('holds: order', nested, 'drizzle', 'orders.mjs')}`;
  for (const { texts } of order.told) assert.ok(texts.at(-1)?.includes(`by ${site}, `), texts.join('\n'));
  assert.ok(order.told.length > 0);
});

test('Drizzle inside a transaction of the pool itself is a deadlock, found before the timeout; who asked last is named by Drizzle’s line', async () => {
  const environment = { OXBOW_DEV: '1', WITHIN_MS: '20000' };
  const { mixed } = await runNested<{ mixed: Jam }>('main.mjs', 'drizzle', ['mixed=2'], {
    url,
    from: 'oxbow',
    environment,
  });
  assert.equal(mixed.told.length, 1, 'one is turned away, and the other goes on');
  const text = mixed.told[0]?.texts.at(-1) ?? '';
  assert.match(text, /deadlock/);
  const site = `orders.mjs:${lineAfter('holds: mixed', nested, 'drizzle', 'orders.mjs')}`;
  assert.equal(text.split(`taken at ${site} after: insert into orders`).length, 3, `both, with what they ran: ${text}`);
  // Drizzle runs a query in a `then()`: when it asks, its user is not on the stack, and who is turned away never goes on with a connection.
  assert.match(text, /the last to ask did so at \S*node_modules\/drizzle-orm\//);
});
