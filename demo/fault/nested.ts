// Scene one, first half: five tasks on a pool of five, each takes a connection and then a second one. pg.Pool and Oxbow run the
// same tasks; what each can tell about it is shown.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Pool, PoolTimeoutError } from '../../src/doors/index.ts';
import type { ServerConfig } from '../../src/testing/embedded-postgres.ts';
import type { Screen } from '../screen.ts';

const MAX = 5;
const HANG_SHOWN_MS = 2_000;
const TIMEOUT_MS = 1_000;
/** Tasks do not start in the same millisecond. */
const STAGGER_MS = 20;

/** What each task did with its first connection before it asked for the second. */
const TASKS = [
  { label: 'checkout', statement: 'select 17 as cart' },
  { label: 'invoice', statement: 'select 4 as open_invoices' },
  { label: 'report', statement: "select date_trunc('month', now()) as month" },
  { label: 'mailer', statement: 'select 250 as letters' },
  { label: 'import', statement: 'select 9000 as rows_to_do' },
] as const;

export async function nestedScene(config: ServerConfig, screen: Screen, signal: AbortSignal): Promise<void> {
  screen.title('Scene one: a pool that hangs and cannot say why');
  screen.text(
    `Five tasks, a pool of max ${MAX}. Each takes a connection, runs a query, and asks for a second connection:`,
  );
  screen.line();
  screen.line('      const a = await pool.connect();   // 5 of 5');
  screen.line('      const b = await pool.connect();   // waits for the others, who wait for it');
  screen.line();
  await hanging(config, screen, signal);
  await timingOut(config, screen);
  await explaining(config, screen);
}

/** With pg's default there is no end to it: after a look, the first connections are given back to get out. */
async function hanging(config: ServerConfig, screen: Screen, signal: AbortSignal): Promise<void> {
  const pool = new pg.Pool({ ...config, max: MAX });
  const looked = new AbortController();
  const arrived = await Promise.all(TASKS.map(({ statement }) => holdOne(pool, statement)));
  const seconds = arrived.map(async (first) => {
    const second = pool.connect();
    await Promise.race([second, sleep(60_000, undefined, { signal: looked.signal }).catch(() => {})]);
    first.release();
    (await second).release();
  });
  const began = performance.now();
  try {
    while (performance.now() - began < HANG_SHOWN_MS) {
      await sleep(100, undefined, { signal });
      screen.status(`pg.Pool, its defaults: ${((performance.now() - began) / 1_000).toFixed(1)} s, nothing happens`);
    }
  } finally {
    screen.clearStatus();
    const { totalCount, idleCount, waitingCount } = pool;
    screen.line(`  ${screen.paint('bold', 'pg.Pool')} with its defaults (connectionTimeoutMillis 0)`);
    screen.text(
      `after ${HANG_SHOWN_MS / 1_000} s: no error, no event; it would hang for ever. All that can be asked:`,
      4,
    );
    screen.text(`totalCount ${totalCount}, idleCount ${idleCount}, waitingCount ${waitingCount}`, 6);
    looked.abort();
    await Promise.all(seconds);
    await pool.end();
  }
}

async function timingOut(config: ServerConfig, screen: Screen): Promise<void> {
  const pool = new pg.Pool({ ...config, max: MAX, connectionTimeoutMillis: TIMEOUT_MS });
  const allAnswered = barrier(TASKS.length);
  const texts = await Promise.all(
    TASKS.map(async ({ statement }) => {
      const first = await holdOne(pool, statement);
      const text = await pool.connect().then(
        (second) => {
          second.release();
          return 'served, since another task had given up';
        },
        (error: Error) => `Error: ${error.message}`,
      );
      await allAnswered(); // nobody is served because another one gave up
      first.release();
      return text;
    }),
  );
  await pool.end();
  screen.line(`  ${screen.paint('bold', 'pg.Pool')} with connectionTimeoutMillis ${TIMEOUT_MS}`);
  for (const [text, times] of counted(texts)) screen.text(`${times} × ${text}`, 4);
}

async function holdOne(pool: pg.Pool, statement: string): Promise<pg.PoolClient> {
  const client = await pool.connect();
  await client.query(statement);
  return client;
}

async function explaining(config: ServerConfig, screen: Screen): Promise<void> {
  const pool = new Pool({ ...config, name: 'shop', max: MAX, acquireTimeoutMs: TIMEOUT_MS });
  await pool.open();
  let holders: ReturnType<Pool['holders']> = [];
  const off = pool.observe({
    refused: () => {
      if (holders.length === 0) holders = pool.holders();
    },
  });
  const allHold = barrier(TASKS.length);
  const allAnswered = barrier(TASKS.length);
  const errors = await Promise.all(
    TASKS.map(({ label, statement }, n) =>
      pool.use(
        async (lease) => {
          await lease.query(statement);
          await allHold();
          await sleep(STAGGER_MS * n);
          const error = await pool.use(() => undefined, { label }).catch((thrown: unknown) => thrown);
          await allAnswered(); // nobody is served because another one gave up
          return error;
        },
        { label },
      ),
    ),
  );
  off();
  await pool.close();
  const refused = errors.filter((error) => error instanceof PoolTimeoutError);
  const first = refused[0];
  screen.line(`  ${screen.paint('bold', 'Oxbow')} with acquireTimeoutMs ${TIMEOUT_MS}`);
  if (first === undefined) {
    screen.text('no task was refused, which should not be possible here', 4, 'red');
    throw new Error('scene one: nobody was refused');
  }
  screen.text(`${refused.length} × ${first.name} ${first.code}: ${first.message}`, 4);
  const { size, opening, idle, lent, returning, closing, waiting, oldestLeaseMs } = first.snapshot;
  screen.text('error.snapshot', 4, 'dim');
  screen.text(
    `size ${size} = opening ${opening} + idle ${idle} + lent ${lent} + returning ${returning} + closing ${closing}; ` +
      `waiting ${waiting}, oldest lease ${Math.round(oldestLeaseMs)} ms`,
    6,
  );
  screen.text('pool.holders() at that moment', 4, 'dim');
  screen.table(
    [
      ['label', 'held', 'no query for', 'backend', 'last statement'],
      ...holders.map(({ label = '', heldMs, idleMs, pid = 0, lastStatement = '' }) => [
        label,
        `${Math.round(heldMs)} ms`,
        `${Math.round(idleMs)} ms`,
        String(pid),
        lastStatement,
      ]),
    ],
    6,
  );
  screen.text('All five are lent, nobody runs a query, and the labels say who holds what since when.', 4);
}

/** A function that resolves when it was called by all of `count`. */
function barrier(count: number): () => Promise<void> {
  let open = (): void => {};
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  let left = count;
  return () => {
    left -= 1;
    if (left === 0) open();
    return all;
  };
}

function counted(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}
