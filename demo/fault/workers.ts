// Scene one, last part: a pool in a module variable on Cloudflare Workers, where sockets belong to the request that opened them. Shown where
// workerd is installed.

import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import { bundle, hasWorkerd, startWorker } from '../../test/kit/workerd-runtime.ts';
import type { Screen } from '../screen.ts';

const POOLS = [
  ['pg', 'pg.Pool'],
  ['plain', 'Oxbow, an ordinary Pool'],
  ['workers', 'Oxbow, createWorkersPool()'],
] as const;

export async function workersScene(server: PostgresServer, screen: Screen): Promise<void> {
  screen.line();
  screen.text('A pool in a module variable on Cloudflare Workers, three requests one after the other.');
  screen.line();
  if (!hasWorkerd()) {
    screen.text('workerd is not installed here, so that is not shown.', 4);
    return;
  }
  const { config } = server;
  const url = new URL(`postgres://${config.host}:${config.port}/${config.database}`);
  url.username = config.user;
  url.password = config.password ?? '';
  const worker = await startWorker({
    text: await bundle('demo/fault/worker.mjs'),
    bindings: { DATABASE_URL: url.href },
  });
  try {
    for (const [kind, name] of POOLS) {
      screen.line(`  ${screen.paint('bold', name)}`);
      for (let n = 1; n <= 3; n += 1) screen.text(`request ${n}: ${await worker.get<string>(`/${kind}`)}`, 4);
    }
  } finally {
    await worker.stop();
  }
}
