// Passwords and roles that are changed under load while connections live: no request fails, and after replaceAll() nothing is left of
// the old credentials. A server that asks for them (SCRAM); credentials that are wrong from the start: bad-input.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { ConnectionLostError, type Pool } from '../../src/doors/index.ts';
import { eventually, freshName, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test, { url: false, auth: 'scram' });
const admin = await withClient(test, server.config);
await admin.query(`CREATE TABLE work (n int); GRANT ALL ON work TO PUBLIC`);

/** A replaceAll() that cannot connect never ends: that is a failure here, and must not hang the file. */
const BOUND_MS = 40_000;

/** A role of its own for each test; its present password is what a secret store would give. */
async function role(name: string, password: string): Promise<void> {
  await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
}

interface Load {
  readonly served: number;
  /** A hundred more are served. */
  more(): Promise<void>;
  /** Ends it; gives what failed. */
  stop(): Promise<readonly unknown[]>;
}

/** Single queries and transactions, from more borrowers than there are connections. */
function load(pool: Pool): Load {
  let served = 0;
  let over = false;
  const failures: unknown[] = [];
  const borrowers = Array.from({ length: 8 }, async (_, n) => {
    while (!over) {
      const done =
        n % 2 === 0
          ? pool.query('SELECT pg_sleep(0.001)')
          : pool.transaction(async (tx) => {
              await tx.query('INSERT INTO work VALUES (1)');
            });
      await done.then(
        () => (served += 1),
        (error: unknown) => failures.push(error),
      );
    }
  });
  const more = async (): Promise<void> => {
    const before = served;
    await eventually('a hundred more are served', () => served >= before + 100);
  };
  return {
    get served() {
      return served;
    },
    more,
    stop: async () => {
      over = true;
      await Promise.all(borrowers);
      return failures;
    },
  };
}

function withLoad(t: TestContext, pool: Pool): Load {
  const busy = load(pool);
  t.after(async () => {
    await busy.stop();
  });
  return busy;
}

/** Of which roles the pool's sessions are. */
async function roles(pool: Pool): Promise<string[]> {
  const { rows } = await admin.query<{ role: string }>(
    'SELECT DISTINCT usename AS role FROM pg_stat_activity WHERE application_name = $1 ORDER BY 1',
    [pool.name],
  );
  return rows.map((row) => row.role);
}

const ASKED = {
  'a password function': (config: object, secret: () => Promise<string>) => ({ ...config, password: secret }),
  'a connection function': (config: object, secret: () => Promise<string>) => ({
    connection: async () => ({ ...config, password: await secret() }),
  }),
};

for (const [how, optionsFor] of Object.entries(ASKED)) {
  test(`with ${how} the password is changed three times under load, with replaceAll() each time: no request fails`, {
    timeout: BOUND_MS,
  }, async (t) => {
    const user = `rotating_${how.split(' ')[1]}`;
    let password = 'first';
    await role(user, password);
    const secret = async (): Promise<string> => password;
    const pool = withPool(t, {
      ...optionsFor({ ...server.config, user, password: undefined }, secret),
      min: 4,
      max: 4,
    });
    const busy = withLoad(t, pool);
    await busy.more();
    for (const next of ['second', 'third', 'fourth']) {
      // What is dialled in the moment in which the server has the new password and the store has not would be refused, and rightly.
      await eventually('nothing is being dialled', () => {
        const { idle, lent, opening } = pool.snapshot();
        return idle + lent === 4 && opening === 0;
      });
      const old = new Set(await sessions(pool));
      await admin.query(`ALTER ROLE ${user} PASSWORD '${next}'`);
      password = next;
      await pool.replaceAll();
      await busy.more();
      // The server lists a session for a moment after its socket is gone.
      await eventually('none of the old ones is left', async () => !(await sessions(pool)).some((pid) => old.has(pid)));
    }
    assert.deepEqual(await busy.stop(), []);
    const { connectsFailed, requestsFailed } = pool.stats();
    assert.deepEqual([connectsFailed, requestsFailed], [0, {}]);
  });
}

async function sessions(pool: Pool): Promise<number[]> {
  const { rows } = await admin.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [
    pool.name,
  ]);
  return rows.map(({ pid }) => pid);
}

test('the secret store lags behind the server: living connections carry the load, and new ones come when it has caught up', {
  timeout: BOUND_MS,
}, async (t) => {
  await role('lagging', 'first');
  let password = 'first';
  const heard = reports();
  const pool = withPool(t, {
    ...server.config,
    user: 'lagging',
    password: async () => password,
    min: 4,
    max: 4,
    logger: heard.logger,
  });
  await pool.open();
  const busy = withLoad(t, pool);
  await busy.more();
  await admin.query(`ALTER ROLE lagging PASSWORD 'second'`);
  // Half of the connections die while the store still gives the old password.
  const [one, two] = await sessions(pool);
  pool.resize({ min: 4, max: 6 });
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ($1, $2) AND state = 'idle'`, [
    one,
    two,
  ]);
  pool.resize({ min: 6 });
  await eventually('a connect was refused', () => pool.stats().connectsFailed > 0);
  await busy.more();
  password = 'second';
  await eventually('six are open', () => pool.snapshot().size === 6 && pool.snapshot().opening === 0, {
    withinMs: 20_000,
  });
  await busy.more();
  const failures = await busy.stop();
  // Those whose connection the test itself has ended may have been under way; the reset of a socket that was written to at that moment may
  // overtake the server's word.
  for (const error of failures) assert.ok(error instanceof ConnectionLostError, String(error));
  assert.ok(failures.length <= 2, `${failures.length} failed`);
  assert.deepEqual(pool.stats().requestsFailed, {});
  t.diagnostic(
    `${pool.stats().connectsFailed} connects refused; reported: ${heard.said.map(({ code }) => code).join(', ')}`,
  );
  assert.ok(heard.said.every(({ message }) => !/first|second/.test(message)));
});

test('two roles take turns, and the old one may no longer log in: no request fails, and all sessions are of the new one', {
  timeout: BOUND_MS,
}, async (t) => {
  await role('blue', 'of blue');
  await role('green', 'of green');
  let current = 'blue';
  let asked = 0;
  const pool = withPool(t, {
    connection: async () => {
      asked += 1;
      return { ...server.config, user: current, password: `of ${current}` };
    },
    name: freshName(),
    min: 4,
    max: 4,
  });
  await pool.open();
  const busy = withLoad(t, pool);
  await busy.more();
  assert.deepEqual(await roles(pool), ['blue']);
  for (const next of ['green', 'blue', 'green']) {
    const old = current;
    current = next;
    await admin.query(`ALTER ROLE ${next} LOGIN`);
    await admin.query(`ALTER ROLE ${old} NOLOGIN`);
    await busy.more();
    // Living sessions of the old role go on until they are replaced.
    assert.deepEqual(await roles(pool), [old]);
    await pool.replaceAll({ overMs: 200 });
    await busy.more();
    assert.deepEqual(await roles(pool), [next]);
  }
  assert.deepEqual(await busy.stop(), []);
  const { connects, connectsFailed, requestsFailed, retired } = pool.stats();
  assert.deepEqual([connectsFailed, requestsFailed, retired], [0, {}, { replaced: 12 }]);
  assert.equal(asked, connects);
});
