// `globalPool` without a server: which of two pools stays, what counts as the same options, what is refused, and that the pool made in vain
// leaves nothing behind. Reloads by a real module loader are in test/ecosystem.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';
import { inspect } from 'node:util';
import pg from 'pg';
import { postgresBudget } from '../../src/doors/fleet.ts';
import { globalPool, OptionError, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { NullPool } from '../../src/doors/null.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import { createThreadBudget } from '../../src/doors/threads.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { anotherCopy } from '../kit/copies.ts';
import { TalkingDriver } from './talking-driver.ts';

const PLACE = Symbol.for('oxbow.pools/v1');
const SECRET = 'hunter2-very-secret';

let keys = 0;
function freshKey(): string {
  keys += 1;
  return `key-${keys}`;
}

/** Whether a pool made of `b` under the key of one made of `a` is not needed. */
function areSame(a: PoolOptions, b: PoolOptions): boolean {
  const key = freshKey();
  const first = globalPool(key, () => new Pool(a));
  return globalPool(key, () => new Pool(b)) === first;
}

function refusal(fn: () => unknown): OptionError {
  try {
    fn();
  } catch (error) {
    if (error instanceof OptionError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' });
}

test('the same key with the same options gives the living pool, whatever evaluates the module again', () => {
  const key = freshKey();
  const made: Pool[] = [];
  const create = (): Pool => {
    const pool = new Pool({ host: 'db', max: 3, configure: () => 1 });
    made.push(pool);
    return pool;
  };
  const [first, ...later] = Array.from({ length: 8 }, () => globalPool(key, create));
  assert.equal(made.length, 8, 'it is made each time');
  assert.ok(later.every((pool) => pool === first));
  assert.equal(first, made[0]);
});

test('other keys have other pools', () => {
  const create = (): Pool => new Pool({ host: 'db' });
  assert.notEqual(globalPool(freshKey(), create), globalPool(freshKey(), create));
});

test('options are compared as they were written, functions by their text, nested ones by what is in them', () => {
  const check = (): ((client: unknown) => unknown) => (client) => client;
  const ssl = (): { ca: Buffer; servername: string } => ({ ca: Buffer.from('pem'), servername: 'db' });
  assert.ok(areSame({}, {}));
  assert.ok(areSame({ max: 3 }, { max: 3, min: undefined }));
  assert.ok(areSame({ configure: check() }, { configure: check() }));
  assert.ok(areSame({ ssl: ssl() }, { ssl: ssl() }));
  assert.ok(areSame({ condemn: { '40001': 'keep' } }, { condemn: { '40001': 'keep' } }));
  assert.ok(areSame({ password: SECRET }, { password: SECRET }));
  assert.ok(areSame({ connectionString: 'postgres://u@db/x' }, { connectionString: 'postgres://u@db/x' }));

  assert.ok(!areSame({ max: 3 }, { max: 4 }));
  assert.ok(!areSame({ max: 3 }, { min: 0 }));
  assert.ok(!areSame({ configure: () => 1 }, { configure: () => 2 }));
  assert.ok(!areSame({ ssl: ssl() }, { ssl: { ...ssl(), ca: Buffer.from('pen') } }));
  assert.ok(!areSame({ ssl: ssl() }, { ssl: { ca: Buffer.from('pem') } }));
  assert.ok(!areSame({ ssl: { ca: Buffer.from('pem') } }, { ssl: ssl() }));
  assert.ok(!areSame({ condemn: { '40001': 'keep' } }, { condemn: { '40001': 'replace' } }));
  assert.ok(!areSame({ password: SECRET }, { password: `${SECRET}!` }));
  assert.ok(!areSame({ connectionString: 'postgres://u@db/x' }, { connectionString: 'postgres://u@db/y' }));
});

test('bound functions and objects of a class are the same only if they are the same object', () => {
  class Log extends EventEmitter {
    debug(): void {}
    info(): void {}
    warn(): void {}
    error(): void {}
  }
  const logger = new Log();
  assert.ok(areSame({ logger }, { logger }));
  assert.ok(!areSame({ logger }, { logger: new Log() }));
  const one = (): void => {};
  const bound = one.bind(undefined);
  assert.ok(areSame({ configure: bound }, { configure: bound }));
  assert.ok(!areSame({ configure: bound }, { configure: one.bind(undefined) }));
});

test('a fleet budget that a reload makes anew is the same if its terms are, and a thread budget only if it is the very same', () => {
  const fleet = (limit: number): PoolOptions => ({ budget: postgresBudget({ limit, key: 'shop' }) });
  assert.ok(areSame(fleet(20), fleet(20)));
  assert.ok(!areSame(fleet(20), fleet(21)));
  const threads = createThreadBudget({ max: 4 });
  assert.ok(areSame({ budget: threads }, { budget: threads }));
  assert.ok(!areSame({ budget: threads }, { budget: createThreadBudget({ max: 4 }) }));
});

test('options that contain themselves are compared all the same', () => {
  const ssl = (servername: string): { servername: string; self?: unknown } => {
    const made: { servername: string; self?: unknown } = { servername };
    made.self = made;
    return made;
  };
  assert.ok(areSame({ ssl: ssl('a') }, { ssl: ssl('a') }));
  assert.ok(!areSame({ ssl: ssl('a') }, { ssl: ssl('b') }));
});

test('what becomes of the object of options afterwards changes nothing', () => {
  const key = freshKey();
  const options = { max: 3 };
  const first = globalPool(key, () => new Pool(options));
  options.max = 4;
  assert.equal(
    globalPool(key, () => new Pool({ max: 3 })),
    first,
  );
  assert.notEqual(
    globalPool(key, () => new Pool(options)),
    first,
  );
});

test('a pool of another kind is not the same, with whatever options', () => {
  const key = freshKey();
  const pools = [Pool, PgPool, NullPool, Pool].map((Kind) => globalPool(key, () => new Kind({ host: 'db' })));
  assert.equal(new Set(pools).size, 4);
});

test('with other options the new pool is given, and the old one serves who waits, drains and closes by itself', async () => {
  const key = freshKey();
  const clock = new VirtualClock();
  const driver = new TalkingDriver(clock, Infinity);
  const options: PoolOptions = { clock, driver, max: 1, callSites: false };
  const old = globalPool(key, () => new Pool(options));
  const held = await old.acquire();
  const waiting = old.acquire();
  const fresh = globalPool(key, () => new Pool({ ...options, max: 2 }));
  assert.notEqual(fresh, old);
  assert.equal(old.phase, 'closing');
  assert.equal(
    globalPool(key, () => new Pool({ ...options, max: 2 })),
    fresh,
  );
  held.release();
  (await waiting).release();
  await clock.advance(1);
  assert.equal(old.phase, 'closed');
  assert.equal(fresh.phase, 'created');
  await fresh.close();
});

test('an old pool that does not drain in time is reported by the new one, with who holds it', async () => {
  const key = freshKey();
  const clock = new VirtualClock();
  const options: PoolOptions = { clock, driver: new TalkingDriver(clock, Infinity), max: 1, name: 'old' };
  const old = globalPool(key, () => new Pool(options));
  await old.acquire({ label: 'a lazy one' });
  const said: { code: string; message: string }[] = [];
  const logger = { debug() {}, info() {}, error() {}, warn: (about: object, message: string) => note(about, message) };
  const note = (about: object, message: string): void => {
    said.push({ code: String(Reflect.get(about, 'code')), message });
  };
  globalPool(key, () => new Pool({ ...options, name: 'new', logger }));
  await clock.advance(29_000);
  assert.equal(said.length, 0);
  await clock.advance(10_000);
  assert.equal(said.length, 1);
  assert.equal(said[0]?.code, 'OXBOW_LEASE_HELD');
  assert.match(
    said[0]?.message ?? '',
    /^old was replaced as the pool "key-\d+", and did not drain in time.*a lazy one/,
  );
});

test('a closed pool makes room for the new one, and leaves its key when it closes', async () => {
  const key = freshKey();
  const create = (): Pool => new Pool({ host: 'db' });
  const first = globalPool(key, create);
  await first.close();
  const registry: unknown = Reflect.get(globalThis, PLACE);
  const keyed: unknown = Reflect.get(Object(registry), 'keyed');
  assert.ok(keyed instanceof Map && !keyed.has(key));
  const second = globalPool(key, create);
  assert.notEqual(second, first);
  assert.equal(globalPool(key, create), second);
});

test('a pool under two keys makes room under both when it is closed', async () => {
  const [one, two] = [freshKey(), freshKey()];
  const create = (): Pool => new Pool({ host: 'db' });
  const both = globalPool(one, create);
  assert.equal(
    globalPool(two, () => both),
    both,
  );
  await both.close();
  assert.notEqual(globalPool(one, create), both);
  assert.notEqual(globalPool(two, create), both);
});

test('what create throws comes through, and the pool under the key stays', () => {
  const key = freshKey();
  const create = (): Pool => new Pool({ max: 2 });
  const first = globalPool(key, create);
  const error = new Error('no');
  assert.throws(
    () =>
      globalPool(key, () => {
        throw error;
      }),
    error,
  );
  assert.equal(globalPool(key, create), first);
});

test('a key that is no text, no function, no pool and a closed pool are refused by name, and the pool under the key stays', async () => {
  const loosely = globalPool as (key: unknown, create: unknown) => Pool;
  const key = freshKey();
  const create = (): Pool => new Pool({ max: 2 });
  const first = globalPool(key, create);
  for (const wrong of ['', undefined, null, 5, Symbol('x'), {}]) {
    assert.equal(refusal(() => loosely(wrong, create)).option, 'key', String(wrong));
  }
  for (const wrong of [undefined, {}, new Pool()]) {
    assert.match(refusal(() => loosely(key, wrong)).message, /option "create": expected a function/);
  }
  const others = [undefined, {}, 'pool', Promise.resolve(create()), new pg.Pool({ password: SECRET })];
  for (const wrong of others) {
    const error = refusal(() => loosely(key, () => wrong));
    assert.match(error.message, /option "create": expected a function that returns a pool of this package's/);
    assert.ok(!inspect(error, { showHidden: true, depth: 9 }).includes(SECRET));
  }
  const closed = create();
  await closed.close();
  assert.match(refusal(() => globalPool(key, () => closed)).message, /is closed already/);
  assert.equal(globalPool(key, create), first);
});

test('the pool made in vain leaves no gap in the names of pools, and is closed', async () => {
  const key = freshKey();
  const made: Pool[] = [];
  const create = (): Pool => {
    const pool = new Pool({ max: 2 });
    made.push(pool);
    return pool;
  };
  const first = globalPool(key, create);
  for (let reload = 0; reload < 7; reload += 1) globalPool(key, create);
  const next = new Pool();
  const number = (pool: Pool): number => Number(pool.name.replace('pool-', ''));
  assert.equal(number(next), number(first) + 1);
  await Promise.resolve();
  assert.deepEqual(
    made.map(({ phase }) => phase),
    ['created', ...Array.from({ length: 7 }, () => 'closed')],
  );
});

test('a pool that create gave before, and that somebody uses, is not closed for being one too many', async () => {
  const key = freshKey();
  const clock = new VirtualClock();
  const options: PoolOptions = { clock, driver: new TalkingDriver(clock, Infinity) };
  const first = globalPool(key, () => new Pool(options));
  const used = new Pool(options);
  (await used.acquire()).release();
  assert.equal(
    globalPool(key, () => used),
    first,
  );
  assert.equal(used.phase, 'open');
  await used.close();
});

test('create may itself ask for its key: the pool that is there first stays', () => {
  const key = freshKey();
  let inner: Pool | undefined;
  const outer = globalPool(key, () => {
    inner = globalPool(key, () => new Pool({ max: 2 }));
    return new Pool({ max: 2 });
  });
  assert.equal(outer, inner);
});

test('two copies of the package give the same pool, and know each other’s', async (t) => {
  const other = await anotherCopy(t);
  assert.notEqual(other.Pool, Pool);
  const key = freshKey();
  const ours = globalPool(key, () => new Pool({ max: 2 }));
  const theirs = other.globalPool(key, () => new other.Pool({ max: 2 }));
  assert.equal(theirs, ours);
  const changed = other.globalPool(key, () => new other.Pool({ max: 3 }));
  assert.ok(changed instanceof other.Pool);
  assert.equal(ours.phase === 'closing' || ours.phase === 'closed', true);
  assert.equal(
    globalPool(key, () => new Pool({ max: 3 })),
    changed,
  );
  // One copy's function, the other's pool.
  const mixed = freshKey();
  assert.equal(
    globalPool(mixed, () => new other.Pool({ max: 2 })),
    other.globalPool(mixed, () => new Pool({ max: 2 })),
  );
});

test('a stranger in the place of the registry, or under a key, is passed over', (t) => {
  const before: unknown = Reflect.get(globalThis, PLACE);
  t.after(() => Reflect.set(globalThis, PLACE, before));
  const create = (): Pool => new Pool({ max: 2 });
  for (const stranger of [5, {}, { keyed: new Map() }, { keyed: {}, used: [], warned: null }]) {
    Reflect.set(globalThis, PLACE, stranger);
    const key = freshKey();
    const pool = globalPool(key, create);
    assert.equal(globalPool(key, create), pool);
  }
  const keyed = new Map<string, unknown>();
  Reflect.set(globalThis, PLACE, { keyed, used: new Map(), warned: new Set() });
  for (const stranger of [5, null, {}, { [Symbol.for('oxbow.pool')]: () => ({ kind: 'oxbow Pool' }), close() {} }]) {
    const key = freshKey();
    keyed.set(key, stranger);
    assert.equal(globalPool(key, create), keyed.get(key));
  }
});

test('no secret of the options shows in a pool, nor what it was made from', () => {
  const pool = globalPool(freshKey(), () => new Pool({ connectionString: `postgres://u:${SECRET}@db/x` }));
  assert.ok(!inspect(pool, { depth: 9 }).includes(SECRET));
  const registry: unknown = Reflect.get(globalThis, PLACE);
  assert.ok(!inspect(registry, { depth: 9 }).includes(SECRET));
});
