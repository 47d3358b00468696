// Four processes answer at one port, and together they never have more than eight connections to PostgreSQL: each asks for up to ten, and the
// server itself says who may. DATABASE_URL=postgres://... PORT=3000 node examples/cluster/main.js

import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { onSignal, Pool } from 'oxbow';
import { postgresBudget } from 'oxbow/fleet';

const PROCESSES = 4;

function manage() {
  for (let n = 0; n < PROCESSES; n += 1) cluster.fork();
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      stopping = true;
      for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
    });
  }
  // Whoever dies has left nothing behind that anybody would have to clean up: its permits ended with its connections.
  cluster.on('exit', () => {
    if (!stopping) cluster.fork();
  });
  let listening = 0;
  cluster.on('listening', (_worker, { port }) => {
    listening += 1;
    if (listening === PROCESSES) console.log(`${PROCESSES} processes listening at http://127.0.0.1:${port}`);
  });
}

function serve() {
  const pool = new Pool({
    connectionString: process.env.DATABASE_URL,
    application_name: 'cluster-example',
    max: 10,
    budget: postgresBudget({ limit: 8, key: 'cluster-example' }),
  });
  const server = createServer(async (_request, response) => {
    const { rows } = await pool.query('SELECT pg_sleep(0.02), now()');
    const { held, limit } = pool.snapshot().budget;
    response.end(JSON.stringify({ process: process.pid, now: rows[0].now, held, limit }));
  });
  server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
  onSignal(pool, { server });
}

if (cluster.isPrimary) manage();
else serve();
