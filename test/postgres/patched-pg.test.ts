// Whoever puts something of his own in the place of something of pg's wants it to be used: he sees each query, whether he came before the pool,
// between two connections, or while they are open. Each test has a copy of pg of its own. Owns no library: tracer-*.test.ts.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import type { Pool } from '../../src/doors/index.ts';
import { withPool, withServer } from './harness.ts';

const require = createRequire(import.meta.url);
const server = await withServer(test);

type AnyFunction = (...args: unknown[]) => unknown;

interface Copy {
  readonly Client: typeof pg.Client;
  readonly prototypes: Readonly<Record<'Client' | 'Query' | 'Connection' | 'Result', object>>;
}

/** pg, loaded anew: classes that nobody has looked at or changed. */
function freshPg(): Copy {
  const folder = dirname(require.resolve('pg/package.json')) + sep;
  for (const path of Object.keys(require.cache)) if (path.startsWith(folder)) delete require.cache[path];
  const { Client, Query, Connection, Result } = require('pg') as Record<string, { prototype: object }>;
  assert.ok(Client && Query && Connection && Result);
  return {
    Client: Client as unknown as typeof pg.Client,
    prototypes: {
      Client: Client.prototype,
      Query: Query.prototype,
      Connection: Connection.prototype,
      Result: Result.prototype,
    },
  };
}

/** A pool on that copy, with one connection, that asks nothing of its own. */
function poolOf(t: TestContext, Client: typeof pg.Client): Pool {
  return withPool(t, { ...server.config, Client, max: 1, pooler: 'none' });
}

/** Puts a function in the place of a method, that counts its calls and passes them on. */
function counted(object: object, name: string): { calls: number } {
  const method = Reflect.get(object, name) as AnyFunction;
  const count = { calls: 0 };
  Reflect.set(object, name, function (this: unknown, ...args: unknown[]) {
    count.calls += 1;
    return method.apply(this, args);
  });
  return count;
}

/** A function that rewritten sources call. */
const SEEN = 'oxbowTestSeen';

const QUERIES = 6;

/** Each with a parameter and a row. */
async function ask(pool: Pool): Promise<void> {
  for (let n = 0; n < QUERIES; n += 1) {
    const { rows } = await pool.query('SELECT $1::int AS n', [n]);
    assert.deepEqual(rows, [{ n }]);
  }
}

/** What pg calls for a query with a parameter and one row, by class. */
const CALLED: readonly (readonly [keyof Copy['prototypes'], string])[] = [
  ['Client', 'query'],
  ['Client', '_pulseQueryQueue'],
  ['Query', 'submit'],
  ['Query', 'prepare'],
  ['Query', 'handleDataRow'],
  ['Connection', 'parse'],
  ['Connection', 'bind'],
  ['Connection', 'execute'],
  ['Connection', 'sync'],
  ['Result', 'parseRow'],
  ['Result', 'addFields'],
  ['Result', 'addCommandComplete'],
];

for (const [name, method] of CALLED) {
  const called = `${name}.prototype.${method}`;

  test(`${called}, replaced before the pool is used, is called for each query`, async (t) => {
    const { Client, prototypes } = freshPg();
    const count = counted(prototypes[name], method);
    const pool = poolOf(t, Client);
    await ask(pool);
    assert.ok(count.calls >= QUERIES, `${count.calls} calls`);
    const why = `${called} is not pg's own, as when a tracer wants to see each query`;
    assert.deepEqual(pool.snapshot().speaker, { who: 'pg', why });
  });
}

test('Client.prototype.query, replaced and put back while the pool is in use, is called for each query meanwhile', async (t) => {
  const { Client, prototypes } = freshPg();
  const pool = poolOf(t, Client);
  const original: unknown = Reflect.get(prototypes.Client, 'query');
  await ask(pool);
  assert.equal(pool.stats().queriesByCodec, QUERIES);
  const count = counted(prototypes.Client, 'query');
  await ask(pool);
  assert.equal(count.calls, QUERIES);
  assert.equal(pool.snapshot().speaker?.who, 'pg', 'on the connection that was opened before, too');
  await pool.replaceAll();
  await ask(pool);
  assert.equal(count.calls, 2 * QUERIES);
  assert.equal(pool.stats().queriesByCodec, QUERIES);
  const why = "Client.prototype.query is not pg's own, as when a tracer wants to see each query";
  assert.deepEqual(pool.snapshot().speaker, { who: 'pg', why });
  Reflect.set(prototypes.Client, 'query', original);
  await pool.replaceAll();
  await ask(pool);
  assert.equal(count.calls, 2 * QUERIES);
  assert.equal(pool.stats().queriesByCodec, 2 * QUERIES);
});

/** Ways to put another `query` in its place that do not look like one at first sight. */
const DISGUISES: Readonly<Record<string, (prototype: object, original: AnyFunction, seen: () => void) => void>> = {
  'a bound function': (prototype, original, seen) => {
    function query(this: { client: unknown }, ...args: unknown[]): unknown {
      seen();
      return original.apply(this.client, args);
    }
    Object.defineProperty(prototype, 'query', {
      configurable: true,
      get(): unknown {
        return query.bind({ client: this });
      },
    });
  },
  'a proxy of the method': (prototype, original, seen) => {
    const apply = (target: AnyFunction, client: unknown, args: unknown[]): unknown => {
      seen();
      return Reflect.apply(target, client, args);
    };
    Reflect.set(prototype, 'query', new Proxy(original, { apply }));
  },
  'a function that says it is the original': (prototype, original, seen) => {
    const query = function (this: unknown, ...args: unknown[]): unknown {
      seen();
      return original.apply(this, args);
    };
    query.toString = () => String(original);
    Reflect.set(prototype, 'query', query);
  },
  'a function behind an accessor': (prototype, original, seen) => {
    const query = function (this: unknown, ...args: unknown[]): unknown {
      seen();
      return original.apply(this, args);
    };
    Object.defineProperty(prototype, 'query', { configurable: true, get: () => query });
  },
};

for (const [disguise, put] of Object.entries(DISGUISES)) {
  for (const later of [false, true]) {
    const when = later ? 'while the pool is in use' : 'before the pool is used';
    test(`${disguise} in the place of Client.prototype.query, ${when}, is called for each query`, async (t) => {
      const { Client, prototypes } = freshPg();
      const pool = poolOf(t, Client);
      if (later) await ask(pool);
      let calls = 0;
      put(prototypes.Client, Reflect.get(prototypes.Client, 'query') as AnyFunction, () => {
        calls += 1;
      });
      await ask(pool);
      assert.equal(calls, QUERIES);
    });
  }
}

test("one client's query(), replaced by configure, is called for each query on that client", async (t) => {
  const { Client } = freshPg();
  let count = { calls: 0 };
  const pool = withPool(t, {
    ...server.config,
    Client,
    max: 1,
    configure: (client) => {
      count = counted(client, 'query');
    },
  });
  await ask(pool);
  assert.equal(count.calls, QUERIES);
  await pool.transaction(async (tx) => {
    await tx.query('SELECT 1');
  });
  assert.equal(count.calls, QUERIES + 3, 'BEGIN and COMMIT too');
});

test("one client's query(), replaced by a listener of connect or by a borrower, is called for each query on that client", async (t) => {
  const { Client } = freshPg();
  const pool = withPool(t, { ...server.config, Client, max: 2 });
  let count = { calls: 0 };
  pool.once('connect', (client) => {
    count = counted(client, 'query');
  });
  await ask(pool);
  assert.equal(count.calls, QUERIES);
  const [first, second] = [await pool.connect(), await pool.connect()];
  const other = counted(second, 'query');
  second.release();
  await ask(pool);
  first.release();
  assert.equal(other.calls, QUERIES);
});

test('a subclass that overrides query sees each, and one that overrides nothing works', async (t) => {
  const { Client } = freshPg();
  let calls = 0;
  class Watching extends Client {
    override query(...args: unknown[]): never {
      calls += 1;
      return Reflect.apply(Client.prototype.query, this, args) as never;
    }
  }
  class Plain extends Client {}
  const watched = poolOf(t, Watching);
  await ask(watched);
  assert.equal(calls, QUERIES);
  const plain = poolOf(t, Plain);
  await ask(plain);
  for (const pool of [watched, plain]) {
    assert.deepEqual(pool.snapshot().speaker, { who: 'pg', why: "the client is not of pg's own class" });
  }
});

test('what is asked of a client goes through a wrapper like those of the makers of tracers: begun and ended once each, by its text', async (t) => {
  const { Client, prototypes } = freshPg();
  const original = Reflect.get(prototypes.Client, 'query') as AnyFunction;
  const begun: string[] = [];
  const ended: string[] = [];
  // As the widespread ones do it: the object that pg has made of the query last is told apart, and its callback replaced.
  Reflect.set(prototypes.Client, 'query', function (this: pg.Client, ...args: unknown[]) {
    const [asked] = args;
    const text = String(typeof asked === 'string' ? asked : Reflect.get(Object(asked), 'text'));
    begun.push(text);
    if (typeof asked === 'string') args[0] = { text: `${asked} /* traced */` };
    const returned = original.apply(this, args);
    const queue = Reflect.get(this, '_queryQueue') as object[];
    const newest = queue.at(-1) ?? (Reflect.get(this, '_activeQuery') as object);
    const callback = Reflect.get(newest, 'callback') as AnyFunction;
    Reflect.set(newest, 'callback', (...results: unknown[]) => {
      ended.push(text);
      return callback(...results);
    });
    return returned;
  });
  const pool = poolOf(t, Client);
  const texts = ['SELECT 1', 'SELECT 2', 'BEGIN', 'SELECT 3', 'SELECT 4', 'COMMIT', 'SELECT 5', 'SELECT 6'];
  await pool.query('SELECT 1');
  await pool.query({ text: 'SELECT 2', values: [] });
  await pool.transaction(async (tx) => {
    await tx.query('SELECT 3');
    await tx.client.query('SELECT 4');
  });
  await Promise.all([pool.query('SELECT 5'), pool.query('SELECT 6')]);
  assert.deepEqual({ begun, ended }, { begun: texts, ended: texts });
});

test('a pg whose source was rewritten as it was loaded is not taken for the one that is known', async (t) => {
  const extensions = require('node:module')._extensions as Record<string, AnyFunction>;
  const load = extensions['.js'] as AnyFunction;
  let calls = 0;
  Reflect.set(globalThis, SEEN, () => {
    calls += 1;
  });
  extensions['.js'] = (module, path) => {
    const compile = Reflect.get(Object(module), '_compile') as AnyFunction;
    const rewritten = (source: unknown, file: unknown): unknown =>
      compile.call(module, String(source).replace(/^ {2}query\(.*\{$/m, `$& globalThis.${SEEN}()`), file);
    if (String(path).endsWith(`${sep}pg${sep}lib${sep}client.js`)) Reflect.set(Object(module), '_compile', rewritten);
    load(module, path);
  };
  t.after(() => Reflect.deleteProperty(globalThis, SEEN));
  const { Client } = freshPg();
  extensions['.js'] = load;
  const pool = poolOf(t, Client);
  await ask(pool);
  assert.equal(calls, QUERIES);
  assert.match(pool.snapshot().speaker?.why ?? '', /none of those that the codec was tested with/);
});
