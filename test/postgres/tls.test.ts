// Sessions over TLS: what is different there is the cancel request, which must be as secret as the session is, and must reach the server
// that the session is on.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { test } from 'node:test';
import { ConnectionLostError, QueryTimeoutError } from '../../src/doors/index.ts';
import { CERTIFICATE, tlsFront } from '../kit/tls-front.ts';
import { eventually, pidOf, rejection, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(nodeTest);
const admin = await withClient(nodeTest, server.config);

async function front(t: nodeTest.TestContext): Promise<Awaited<ReturnType<typeof tlsFront>>> {
  const made = await tlsFront({ host: server.config.host, port: server.config.port });
  t.after(() => made.close());
  return made;
}

async function sleeping(): Promise<number> {
  const text =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(30)%'";
  const { rows } = await admin.query<{ n: number }>(text);
  return rows[0]?.n ?? -1;
}

for (const negotiation of ['postgres', 'direct'] as const) {
  test(`a statement of a TLS session (${negotiation}) is cancelled over TLS, and the connection stays`, async (t) => {
    const made = await front(t);
    const { host, port, cancels, sessions } = made;
    const ssl = { ca: CERTIFICATE };
    const heard = reports();
    const one = withPool(t, {
      ...server.config,
      host,
      port,
      ssl,
      sslnegotiation: negotiation,
      max: 1,
      logger: heard.logger,
    });
    const pid = await one.use(pidOf);
    const ofSession = made.direct;
    if (negotiation === 'postgres') assert.equal(ofSession, 0);
    await rejection(one.query({ text: 'SELECT pg_sleep(30)', timeoutMs: 100 }), QueryTimeoutError);
    assert.equal(await one.use(pidOf), pid);
    await eventually('it ended on the server', async () => (await sleeping()) === 0);
    assert.deepEqual(
      { cancels, sessions },
      { cancels: { encrypted: 1, clear: 0 }, sessions: { encrypted: 1, clear: 0 } },
    );
    // Before 8.17 pg asks for TLS first whatever it is told.
    assert.equal(made.direct, 2 * ofSession, 'the cancel asks for TLS as its session did');
    assert.deepEqual(heard.said, []);
  });
}

test('the name is checked as for the session itself: a certificate that is not for it cancels nothing, and the connection is replaced', async (t) => {
  const { host, port, cancels } = await front(t);
  // The session believes anything once; its cancel does not.
  let believes = true;
  const ssl = { ca: CERTIFICATE, checkServerIdentity: () => (believes ? undefined : new Error('not whom we know')) };
  const one = withPool(t, { ...server.config, host, port, ssl, max: 1, returnTimeoutMs: 500 });
  const lease = await one.acquire();
  believes = false;
  await rejection(lease.query({ text: 'SELECT pg_sleep(30)', timeoutMs: 100 }), QueryTimeoutError);
  await rejection(lease.query('SELECT 1'), ConnectionLostError);
  believes = true;
  lease.release();
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(cancels.encrypted + cancels.clear, 0);
});

test('a server that refuses TLS for the cancel gets no key in the clear', async (t) => {
  const made = await front(t);
  const { host, port, cancels } = made;
  const one = withPool(t, { ...server.config, host, port, ssl: { ca: CERTIFICATE }, max: 1, returnTimeoutMs: 500 });
  const lease = await one.acquire();
  made.refusing = true;
  await rejection(lease.query({ text: 'SELECT pg_sleep(30)', timeoutMs: 100 }), QueryTimeoutError);
  // Neither ended nor read to its end: within returnTimeoutMs the connection is given up.
  await rejection(lease.query('SELECT 1'), ConnectionLostError);
  lease.release();
  made.refusing = false;
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.deepEqual(cancels, { encrypted: 0, clear: 0 });
});
