// Option resolution, table-driven: what is asserted of one option is asserted of all of its kind.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import type { PoolConfig } from 'pg';
import pg from 'pg';
import { OptionError } from '../../src/contracts/errors.ts';
import type { AllOptions } from '../../src/contracts/options.ts';
import { NAMES_OF_OTHER_POOLS } from '../../src/core/names-of-other-pools.ts';
import type { Alias, NumberSpec, OptionName, OptionSpec, Personality } from '../../src/core/option-table.ts';
import { LATER_OPTIONS, MAX_INT, OPTIONS } from '../../src/core/option-table.ts';
import { resolveOptions } from '../../src/core/resolve-options.ts';
import { editDistance, nearest } from '../../src/core/spelling.ts';
import { PG_KEYS } from '../../src/pg/client-keys.ts';

const PERSONALITIES: readonly Personality[] = ['oxbow', 'pg'];
const SPECS = Object.entries(OPTIONS) as [OptionName, OptionSpec][];
const isNumber = (entry: [OptionName, OptionSpec]): entry is [OptionName, NumberSpec] =>
  entry[1].kind === 'ms' || entry[1].kind === 'count';
const NUMBERS = SPECS.filter(isNumber);
const ALIASES = SPECS.flatMap(([name, spec]) => spec.aliases.map((alias) => ({ name, spec, alias })));
const OURS = [...Object.keys(OPTIONS), ...ALIASES.map(({ alias }) => alias.name)];
const fn = (): void => {};

function resolve(input: unknown, personality: Personality = 'oxbow', env?: { OXBOW_DEV?: string; NODE_ENV?: string }) {
  return resolveOptions(input, { personality, foreignKeys: PG_KEYS, ...(env ? { env } : {}) });
}

/** Where the value of an option ends up, whoever owns it. */
function resultFor(name: string, input: Record<string, unknown>, personality: Personality = 'oxbow'): unknown {
  const { engine, client } = resolve(input, personality);
  return Object.hasOwn(engine, name) ? Reflect.get(engine, name) : client[name];
}

function refusal(input: unknown, personality: Personality = 'oxbow'): OptionError {
  try {
    resolve(input, personality);
  } catch (error) {
    assert.ok(error instanceof OptionError, String(error));
    return error;
  }
  return assert.fail(`accepted: ${Object.keys(Object(input)).join()}`);
}

/** A `max` beside which a value of `min` is legal. */
function beside(name: string, value: unknown): Record<string, unknown> {
  return name === 'min' ? { min: value, max: 10_000 } : { [name]: value };
}

/** API.md's table, typed a second time on purpose. */
const DEFAULTS: Record<OptionName, readonly [unknown, unknown]> = {
  connectionString: [undefined, undefined],
  connection: [undefined, undefined],
  min: [0, 0],
  max: [10, 10],
  name: [undefined, undefined],
  acquireTimeoutMs: [30_000, Infinity],
  queryTimeoutMs: [Infinity, Infinity],
  connectTimeoutMs: [10_000, 10_000],
  idleTimeoutMs: [60_000, 10_000],
  maxLifetimeMs: [3_600_000, Infinity],
  maxUses: [Infinity, Infinity],
  maxWaiting: [Infinity, Infinity],
  configure: [undefined, undefined],
  check: ['stale', 'stale'],
  checkAfterIdleMs: [1_000, 1_000],
  checkTimeoutMs: [1_000, 1_000],
  reset: ['rollback', 'rollback'],
  returnTimeoutMs: [5_000, 5_000],
  keepAlive: [true, true],
  keepAliveInitialDelayMillis: [10_000, 10_000],
  idlePingMs: [120_000, Infinity],
  silentAfterMs: [30_000, Infinity],
  condemn: [undefined, undefined],
  leakAfterMs: [30_000, 30_000],
  borrowLimitMs: [Infinity, Infinity],
  nestedAcquire: ['detect', 'warn'],
  deadlockGraceMs: [500, 500],
  pooler: ['auto', 'auto'],
  speaker: ['auto', 'pg'],
  prepare: ['auto', false],
  connectConcurrency: [3, 3],
  reconnectTimeoutMs: [300_000, 300_000],
  onReconnectFailed: [undefined, undefined],
  allowExitOnIdle: [true, false],
  autoOpen: [true, true],
  dev: [false, false],
  callSites: ['auto', 'auto'],
  logger: [undefined, undefined],
  clock: [undefined, undefined],
  budget: [undefined, undefined],
  driver: [undefined, undefined],
};

/** [smallest, largest, whether false and Infinity are legal]. */
const RANGES: Record<string, readonly [number, number, boolean]> = {
  min: [0, 10_000, false],
  max: [1, 10_000, false],
  acquireTimeoutMs: [0, MAX_INT, true],
  queryTimeoutMs: [1, MAX_INT, true],
  connectTimeoutMs: [1, MAX_INT, false],
  idleTimeoutMs: [0, MAX_INT, true],
  maxLifetimeMs: [1, MAX_INT, true],
  maxUses: [1, MAX_INT, true],
  maxWaiting: [1, MAX_INT, true],
  checkAfterIdleMs: [0, MAX_INT, true],
  checkTimeoutMs: [1, MAX_INT, false],
  returnTimeoutMs: [1, MAX_INT, false],
  keepAliveInitialDelayMillis: [0, MAX_INT, false],
  idlePingMs: [1, MAX_INT, true],
  silentAfterMs: [1, MAX_INT, true],
  connectConcurrency: [1, 10_000, false],
  reconnectTimeoutMs: [0, MAX_INT, true],
  leakAfterMs: [1, MAX_INT, true],
  borrowLimitMs: [1, MAX_INT, true],
  deadlockGraceMs: [1, MAX_INT, false],
};

describe('the default of each option', () => {
  for (const [name] of SPECS) {
    it(`${name} is what the contract says, for nothing and for undefined alike, in both personalities`, () => {
      for (const [index, personality] of PERSONALITIES.entries()) {
        assert.equal(resultFor(name, {}, personality), DEFAULTS[name][index]);
        assert.equal(resultFor(name, { [name]: undefined }, personality), DEFAULTS[name][index]);
      }
    });
  }

  it('nothing at all is an empty object', () => assert.deepEqual(resolve(undefined), resolve({})));

  it('every engine option is filled in, frozen, and nothing but keep-alive goes to the client', () => {
    const { engine, client } = resolve({});
    const owned = SPECS.filter(([, spec]) => spec.owner === 'engine').map(([name]) => name);
    assert.deepEqual(Object.keys(engine).sort(), [...owned].sort());
    assert.ok(Object.isFrozen(engine));
    assert.deepEqual(client, { keepAlive: true, keepAliveInitialDelayMillis: 10_000 });
  });

  it('dev follows OXBOW_DEV, else NODE_ENV, and what is given wins', () => {
    assert.equal(resolve({}, 'oxbow', { OXBOW_DEV: '1', NODE_ENV: 'production' }).engine.dev, true);
    assert.equal(resolve({}, 'oxbow', { NODE_ENV: 'development' }).engine.dev, true);
    assert.equal(resolve({}, 'oxbow', { NODE_ENV: 'test' }).engine.dev, true);
    assert.equal(resolve({}, 'oxbow', { NODE_ENV: 'production' }).engine.dev, false);
    assert.equal(resolve({}, 'oxbow', {}).engine.dev, false);
    assert.equal(resolve({ dev: false }, 'oxbow', { OXBOW_DEV: '1' }).engine.dev, false);
    assert.equal(resolve({ dev: true }, 'oxbow', { NODE_ENV: 'production' }).engine.dev, true);
  });
});

describe('each number', () => {
  it('is in the list of ranges', () => {
    assert.deepEqual(NUMBERS.map(([name]) => name).sort(), Object.keys(RANGES).sort());
  });

  for (const [name] of NUMBERS) {
    const [low, high, infinite] = RANGES[name] ?? [0, 0, false];

    it(`${name} accepts ${low} and ${high} and refuses ${low - 1} and ${high + 1}`, () => {
      for (const personality of PERSONALITIES) {
        for (const value of [low, low + 1, high])
          assert.equal(resultFor(name, beside(name, value), personality), value);
        for (const value of [low - 1, -MAX_INT, high + 1, Number.MAX_SAFE_INTEGER]) {
          const error = refusal(beside(name, value), personality);
          assert.equal(error.option, name);
          assert.equal(error.value, value);
          assert.ok(error.message.startsWith(`option "${name}": expected an integer from ${low} to ${high}`));
          assert.ok(error.message.endsWith(`, got ${value}`), error.message);
        }
      }
    });

    it(`${name} reads digits in a text and refuses any other text`, () => {
      assert.equal(resultFor(name, beside(name, `${high}`)), high);
      assert.equal(resultFor(name, beside(name, ` ${low + 1}\n`)), low + 1);
      for (const text of ['', ' ', 'abc', '5s', '1e3', '0x10', '-1', '1.5', '1_000', 'NaN', 'false', `${high + 1}`]) {
        assert.equal(refusal(beside(name, text)).option, name, text);
      }
    });

    it(`${name} refuses what is no whole number`, () => {
      const others = [Number.NaN, -Infinity, low + 0.5, true, null, {}, [], [5], new Date(5), Symbol('5'), 5n, fn];
      for (const value of others) {
        const error = refusal(beside(name, value));
        assert.equal(error.option, name);
        assert.equal(error.expected.startsWith('an integer from '), true);
      }
    });

    it(`${name} ${infinite ? 'accepts' : 'refuses'} false and Infinity`, () => {
      for (const value of [false, Infinity, 'Infinity']) {
        if (infinite) assert.equal(resultFor(name, { [name]: value }), Infinity);
        else assert.equal(refusal(beside(name, value)).option, name);
      }
    });
  }

  it('0 and -0 are one value', () => {
    assert.ok(Object.is(resultFor('idleTimeoutMs', { idleTimeoutMs: -0 }), 0));
  });
});

describe('each option that is no number', () => {
  const legal: Record<string, readonly unknown[]> = {
    text: ['x', 'x'.repeat(128)],
    flag: [true, false],
    function: [fn, async () => {}],
    port: [],
    choice: [fn],
    switch: [true, false],
    word: [],
    record: [{}, { a: 1 }],
  };
  for (const [name, spec] of SPECS) {
    if (spec.kind === 'ms' || spec.kind === 'count') continue;

    it(`${name} accepts its kind as it is and nothing else`, () => {
      const good = [
        ...(legal[spec.kind] ?? []),
        ...(spec.kind === 'choice' || spec.kind === 'switch' || spec.kind === 'word' ? spec.words : []),
      ];
      if (spec.kind === 'port') good.push(Object.fromEntries(spec.methods.map((method) => [method, fn])));
      for (const value of good) assert.equal(resultFor(name, { [name]: value }), value);

      const bad: unknown[] = [null, 5, Number.NaN, Symbol('x'), 5n, []];
      if (spec.kind !== 'record') bad.push({});
      if (spec.kind === 'word' && spec.orFalse === true) {
        assert.equal(resultFor(name, { [name]: false }), false);
        bad.push(true);
      } else if (spec.kind !== 'flag' && spec.kind !== 'switch') bad.push(true, false);
      if (spec.kind !== 'text') bad.push('x', 'true');
      else bad.push(fn);
      if (spec.kind === 'text' && spec.min > 0) bad.push('', 'x'.repeat(spec.max + 1));
      if (spec.kind === 'port') {
        for (const method of spec.methods) {
          bad.push(Object.fromEntries(spec.methods.map((each) => [each, each === method ? 5 : fn])));
        }
      }
      for (const value of bad) assert.equal(refusal({ [name]: value }).option, name, typeof value);
    });
  }

  it('a class instance with inherited methods is a logger', () => {
    class Log {
      debug = fn;
      info(): void {}
      warn(): void {}
      error(): void {}
    }
    const logger = new Log();
    assert.equal(resolve({ logger }).engine.logger, logger);
  });

  it('reset is one of its words or a function', () => {
    for (const reset of ['rollback', 'tracked', 'discard', 'none', fn])
      assert.equal(resolve({ reset }).engine.reset, reset);
    assert.match(refusal({ reset: 'truncate' }).message, /'rollback', 'tracked', 'discard', 'none' or a function/);
  });

  it('pooler is one of its words and nothing else', () => {
    for (const pooler of ['auto', 'none', 'session', 'transaction']) {
      assert.equal(resolve({ pooler }).engine.pooler, pooler);
    }
    for (const pooler of [true, fn, 'statement', 1]) {
      assert.match(refusal({ pooler }).message, /expected 'auto', 'none', 'session', 'transaction'/);
    }
  });

  it('prepare is one of its words, or false, and nothing else', () => {
    for (const prepare of ['auto', 'always', false]) assert.equal(resolve({ prepare }).engine.prepare, prepare);
    for (const prepare of [true, fn, 'never', 1]) {
      assert.match(refusal({ prepare }).message, /expected 'auto', 'always', false/);
    }
  });

  it('condemn is an object, and what is in it is for the driver to know', () => {
    const condemn = { '25006': 'keep' };
    assert.equal(resolve({ condemn }).engine.condemn, condemn);
    for (const wrong of ['25006', ['25006'], true, null, fn]) {
      assert.match(refusal({ condemn: wrong }).message, /expected an object such as \{ '25006': 'keep' \}/);
    }
  });
});

describe('min and max', () => {
  it('a max that was not given is at least min', () => {
    assert.equal(resolve({ min: 20 }).engine.max, 20);
    assert.equal(resolve({ min: '20' }).engine.max, 20);
    assert.equal(resolve({ min: 5 }).engine.max, 10);
  });

  it('a min above max is refused, naming both', () => {
    const message = 'option "min": expected an integer from 0 to "max" (5), got 6';
    assert.equal(refusal({ min: 6, max: 5 }).message, message);
    assert.equal(refusal({ min: 6, poolSize: '5' }).message, message);
    assert.equal(refusal({ min: '6', max: 5 }, 'pg').value, '6');
    assert.equal(resolve({ min: 5, max: 5 }).engine.min, 5);
  });

  it('as pg, max stays 10 whatever min is', () => {
    assert.match(refusal({ min: 11 }, 'pg').message, /"min".*"max" \(10\)/);
  });
});

describe('the names that pg has for our options', () => {
  it('are those of the contract', () => {
    const names = { connectionTimeoutMillis: 'acquireTimeoutMs', query_timeout: 'queryTimeoutMs' };
    const more = { idleTimeoutMillis: 'idleTimeoutMs', maxLifetimeSeconds: 'maxLifetimeMs', onConnect: 'configure' };
    const found = Object.fromEntries(ALIASES.map(({ name, alias }) => [alias.name, name]));
    assert.deepEqual(found, { ...names, ...more, poolSize: 'max' });
  });

  /** Two values by the alias, and the same by the option's own name. */
  const pairs = (alias: Alias, name: OptionName): [unknown, unknown][] => {
    if (name === 'configure') return [[fn, fn]];
    return [
      [3, 3 * alias.unit],
      ['7', 7 * alias.unit],
    ];
  };

  for (const { name, alias } of ALIASES) {
    it(`${alias.name} means ${name}`, () => {
      for (const [value, own] of pairs(alias, name)) {
        assert.equal(resultFor(name, { [alias.name]: value }), own);
        assert.equal(resultFor(name, { [alias.name]: value, [name]: own }), own);
        assert.equal(resultFor(name, { [alias.name]: value, [name]: undefined }), own);
        assert.equal(resultFor(name, { [alias.name]: undefined, [name]: own }), own);
      }
    });

    it(`${alias.name} and ${name} with different values are refused, naming both`, () => {
      const [one, other] = name === 'configure' ? [fn, (): void => {}] : [3, 4 * alias.unit];
      for (const input of [
        { [alias.name]: one, [name]: other },
        { [name]: other, [alias.name]: one },
      ]) {
        const { message } = refusal(input);
        assert.match(message, new RegExp(`"${alias.name}".*"${name}"`));
      }
    });

    it(`${alias.name} is refused where it makes no sense, by the name that was written`, () => {
      for (const value of [-1, Number.NaN, 'abc', '', {}, true, Symbol('x'), 5n, MAX_INT + 1, 0.00001]) {
        assert.equal(refusal({ [alias.name]: value }).option, alias.name);
      }
    });

    if (!alias.zeroIsOff) continue;
    it(`${alias.name} is switched off by 0, null, false and Infinity, as in pg`, () => {
      for (const value of [0, '0', null, false, Infinity]) {
        assert.equal(resultFor(name, { [alias.name]: value }), Infinity);
        assert.equal(resultFor(name, { [alias.name]: value, [name]: false }), Infinity);
      }
      assert.match(refusal({ [alias.name]: -1 }).message, /or 0 for (no deadline|no limit|never), got -1$/);
    });
  }

  it('0 in both spellings of the idle limit is a contradiction: never, and at once', () => {
    assert.match(
      refusal({ idleTimeoutMs: 0, idleTimeoutMillis: 0 }).message,
      /"idleTimeoutMillis".*"idleTimeoutMs" \(0\)/,
    );
  });

  it('seconds may have fractions down to a millisecond', () => {
    assert.equal(resolve({ maxLifetimeSeconds: 1.001 }).engine.maxLifetimeMs, 1001);
    assert.equal(resolve({ maxLifetimeSeconds: '0.001' }).engine.maxLifetimeMs, 1);
    assert.equal(resolve({ maxLifetimeSeconds: MAX_INT / 1000 }).engine.maxLifetimeMs, MAX_INT);
    assert.equal(refusal({ maxLifetimeSeconds: 0.0005 }).option, 'maxLifetimeSeconds');
    assert.equal(refusal({ maxLifetimeSeconds: 2_147_484 }).option, 'maxLifetimeSeconds');
  });

  it('query_timeout is the only one that raw clients get too', () => {
    const input = Object.fromEntries(ALIASES.map(({ name, alias }) => [alias.name, name === 'configure' ? fn : '5']));
    const { client } = resolve(input);
    assert.deepEqual(client, { query_timeout: 5, keepAlive: true, keepAliveInitialDelayMillis: 10_000 });
    assert.equal(resolve({ query_timeout: 0 }).client.query_timeout, false);
    assert.equal('query_timeout' in resolve({ queryTimeoutMs: 5 }).client, false);
  });
});

describe('a key that is not ours', () => {
  it('goes to the client as it is', () => {
    const ssl = { rejectUnauthorized: true };
    const { client } = resolve({ host: 'db', ssl, password: fn, somethingElse: 5, appl: 1, nothing: undefined });
    const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };
    assert.deepEqual(client, { host: 'db', ssl, password: fn, somethingElse: 5, appl: 1, ...keepAlive });
    assert.equal(client.ssl, ssl);
  });

  // A slip of a shorter name has fewer than five letters.
  for (const name of OURS.filter((ours) => ours.length >= 4)) {
    it(`${name} with a letter dropped, doubled, changed or swapped is refused with its right name`, () => {
      let tried = 0;
      for (const slip of slipsOf(name)) {
        if (slip.length < 5 || OURS.includes(slip) || PG_KEYS.has(slip)) continue;
        const error = refusal({ [slip]: 5 });
        assert.equal(error.option, slip);
        assert.match(error.message, new RegExp(`expected a known name \\(did you mean .*"${name}".*\\?\\), got 5$`));
        tried += 1;
      }
      assert.ok(tried > 0);
    });
  }

  it('that is as near to two of ours is refused with both names', () => {
    assert.equal(
      refusal({ econnectTimeoutMs: 5 }).message,
      'option "econnectTimeoutMs": expected a known name (did you mean "connectTimeoutMs" or "reconnectTimeoutMs"?), got 5',
    );
  });

  it('of fewer than five letters is let through', () => {
    for (const key of ['mix', 'naem', 'maxx', 'rset']) assert.equal(resolve({ [key]: 5 }).client[key], 5);
  });

  it('that is three letters away from all of ours is let through', () => {
    assert.equal(resolve({ maxLifetimeHours: 5 }).client.maxLifetimeHours, 5);
    assert.equal(resolve({ acquireMs: 5 }).client.acquireMs, 5);
  });

  it('and that pg knows is never taken for a slip of ours', () => {
    for (const key of PG_KEYS) {
      if (OURS.includes(key)) continue;
      assert.equal(resolve({ [key]: 'x' }).client[key], 'x', key);
    }
  });

  it('and that only a later version knows is refused and says so', () => {
    for (const key of LATER_OPTIONS) {
      assert.match(refusal({ [key]: 5 }).message, new RegExp(`^option "${key}": .*this version does not have it yet`));
      assert.equal(key in resolve({ [key]: undefined }).client, false);
      assert.equal(PG_KEYS.has(key) || OURS.includes(key), false);
    }
  });
});

describe('a name that other pools have for one of our options', () => {
  const MEANT: Record<string, readonly string[]> = {
    connectionString: ['url', 'uri', 'databaseUrl'],
    acquireTimeoutMs: ['connectionTimeoutMs', 'connectionTimeout', 'acquireTimeoutMillis', 'acquireTimeout'],
    max: ['maxConnections', 'maxSize', 'maxPoolSize', 'connectionLimit'],
    min: ['minConnections', 'minSize', 'minPoolSize'],
    host: ['hostname'],
    user: ['username'],
    database: ['dbname', 'dbName'],
  };
  const PAIRS = Object.entries(MEANT).flatMap(([meant, names]) => names.map((name) => [name, meant] as const));

  for (const [name, meant] of PAIRS) {
    it(`${name} is refused with ${meant}, as ours and as pg`, () => {
      for (const personality of PERSONALITIES) {
        assert.equal(
          refusal({ [name]: 5 }, personality).message,
          `option "${name}": expected a known name (did you mean "${meant}"?), got 5`,
        );
        assert.equal(name in resolve({ [name]: undefined }, personality).client, false);
      }
    });
  }

  it('is each one that the table has, leads to a name that is accepted, and is none that pg knows', () => {
    const tested = new Set(PAIRS.map(([name]) => name));
    for (const [name, meant] of Object.entries(NAMES_OF_OTHER_POOLS)) {
      assert.ok(tested.has(name), name);
      assert.ok(OURS.includes(meant) || PG_KEYS.has(meant), meant);
      assert.equal(PG_KEYS.has(name) || OURS.includes(name), false, name);
    }
  });

  it('is let through where the driver reads it', () => {
    const { client } = resolveOptions({ hostname: 'db' }, { personality: 'oxbow', foreignKeys: new Set(['hostname']) });
    assert.equal(client.hostname, 'db');
  });

  it('is not found on the prototype of the table', () => {
    assert.equal(resolve({ valueOf: 5 }).client.valueOf, 5);
  });

  it('does not give away the password of a URL', () => {
    assert.ok(!inspect(refusal({ url: 'postgres://u:hunter2@h/db' })).includes('hunter2'));
  });
});

describe('the list of keys that pg knows', () => {
  it('has every key that the installed client reads from its config', () => {
    const read = new Set<string>();
    const config = new Proxy<Record<string, unknown>>(
      {},
      {
        get: (_target, key) => {
          if (typeof key === 'string') read.add(key);
          return undefined;
        },
      },
    );
    new pg.Client(config);
    assert.ok(read.size > 20, `${read.size} keys read`);
    assert.deepEqual(
      [...read].filter((key) => !PG_KEYS.has(key)),
      [],
    );
  });

  it('has every key that the installed pool fills in or is typed to take', () => {
    const typed: Record<keyof PoolConfig, true> = {
      user: true,
      database: true,
      password: true,
      port: true,
      host: true,
      connectionString: true,
      keepAlive: true,
      stream: true,
      statement_timeout: true,
      ssl: true,
      enableChannelBinding: true,
      sslnegotiation: true,
      query_timeout: true,
      lock_timeout: true,
      keepAliveInitialDelayMillis: true,
      idle_in_transaction_session_timeout: true,
      application_name: true,
      fallback_application_name: true,
      connectionTimeoutMillis: true,
      types: true,
      options: true,
      client_encoding: true,
      pipeline: true,
      max: true,
      min: true,
      idleTimeoutMillis: true,
      log: true,
      Promise: true,
      allowExitOnIdle: true,
      maxUses: true,
      maxLifetimeSeconds: true,
      Client: true,
      onConnect: true,
      verify: true,
    };
    const keys = [...Object.keys(typed), ...Object.keys(new pg.Pool().options), ...Object.keys(pg.defaults)];
    assert.deepEqual(
      keys.filter((key) => !PG_KEYS.has(key)),
      [],
    );
  });

  it("a pg pool's config fits our types", () => {
    const config: PoolConfig = { max: 5, idleTimeoutMillis: null, onConnect: fn };
    const ours: AllOptions<pg.Client> = config;
    assert.equal(resolve(ours).engine.max, 5);
  });
});

describe('the input', () => {
  it('has to be an object', () => {
    for (const input of [null, 5, true, fn, Symbol('x'), 5n, []]) assert.equal(refusal(input).option, 'options');
  });

  it('is never changed and can be resolved again with the same result', () => {
    const input = Object.freeze({ max: '5', host: 'db', connectionTimeoutMillis: 0, ssl: Object.freeze({}) });
    const before = structuredClone(input);
    assert.deepEqual(resolve(input), resolve(input));
    assert.deepEqual(input, before);
  });

  it('what was resolved resolves to itself', () => {
    for (const personality of PERSONALITIES) {
      const { engine, client } = resolve({ min: 3, name: 'x', idleTimeoutMillis: 0, host: 'db' }, personality);
      assert.deepEqual(resolve({ ...client, ...engine }, personality), { engine, client });
    }
  });

  it('cannot reach a prototype, nor be read through one', () => {
    const hostile: unknown = JSON.parse(
      '{"__proto__": {"max": 7}, "constructor": {"prototype": {"max": 7}}, "prototype": 1}',
    );
    const { engine, client } = resolve(hostile);
    assert.equal(engine.max, 10);
    assert.deepEqual(Object.keys(client).sort(), ['keepAlive', 'keepAliveInitialDelayMillis']);
    assert.equal(Object.getPrototypeOf(client), Object.prototype);
    assert.equal(Reflect.get({}, 'max'), undefined);
    assert.equal(resolve(Object.create({ max: 7 })).engine.max, 10);
    for (const key of ['toString', 'hasOwnProperty', 'valueOf']) assert.equal(resolve({ [key]: 5 }).client[key], 5);
  });

  it('a hidden property counts, and a getter is called once', () => {
    let calls = 0;
    const input = Object.defineProperties(
      {},
      {
        password: { value: 'hidden', enumerable: false },
        max: { enumerable: true, get: () => (calls += 1) },
      },
    );
    const { engine, client } = resolve(input);
    assert.equal(client.password, 'hidden');
    assert.equal(engine.max, 1);
    assert.equal(calls, 1);
  });
});

describe('a secret', () => {
  const SECRET = 'hunter2';
  const url = `postgres://me:${SECRET}@db/app`;
  const inputs: [string, unknown][] = [
    ['a bare connection string', url],
    ['a connection that is a text', { connection: url }],
    ['a connection that is an object', { connection: { password: SECRET } }],
    ['a connection string that is none', { connectionString: { password: SECRET } }],
    ['a misspelt connection string', { conectionString: url }],
    ['a misspelt connection', { conection: { password: SECRET } }],
    ['an option of a later version', { overload: { connectionString: url } }],
    ['beside a bad option', { connectionString: url, password: SECRET, ssl: { key: SECRET }, max: 0 }],
  ];
  for (const [what, input] of inputs) {
    it(`is not shown by the error about it: ${what}`, () => {
      const error = refusal(input);
      const shown = [
        error.message,
        error.stack,
        String(error.value),
        JSON.stringify(error),
        JSON.stringify(error.value),
      ];
      assert.equal(shown.join('\n').includes(SECRET), false, error.message);
    });
  }
});

describe('the distance of two words', () => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['max', 'max', 0],
    ['', 'max', 3],
    ['reset', 'rest', 1],
    ['check', 'chekc', 1],
    ['ca', 'abc', 2],
    ['kitten', 'sitting', 3],
    ['abcdef', 'badcfe', 3],
  ];
  for (const [a, b, distance] of cases) {
    it(`of '${a}' and '${b}' is ${distance}, both ways`, () => {
      assert.equal(editDistance(a, b), distance);
      assert.equal(editDistance(b, a), distance);
    });
  }

  it('the nearest words are all that are equally near', () => {
    assert.deepEqual(nearest('chekc', ['clock', 'check'], 3), ['check']);
    assert.deepEqual(nearest('chekc', ['check', 'clock'], 3), ['check']);
    assert.deepEqual(nearest('bb', ['ab', 'xyz', 'cb'], 2), ['ab', 'cb']);
    assert.deepEqual(nearest('xyz', ['check'], 2), []);
  });
});

/** One slip each: every letter dropped, doubled, changed, every two neighbours swapped, and one in the wrong case. */
function* slipsOf(name: string): Generator<string> {
  for (let i = 0; i < name.length; i += 1) {
    const [head, letter, tail] = [name.slice(0, i), name.charAt(i), name.slice(i + 1)];
    yield head + tail;
    yield head + letter + letter + tail;
    yield `${head}_${tail}`;
    if (tail !== '' && tail.charAt(0) !== letter) yield head + tail.charAt(0) + letter + tail.slice(1);
    const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
    if (other !== letter) yield head + other + tail;
  }
}
