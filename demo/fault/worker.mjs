// Scene one on Cloudflare Workers: three pools in module variables, as one would write it. Each path asks one of them for a row.

import { Pool } from 'oxbow';
import { createWorkersPool } from 'oxbow/workers';
import pg from 'pg';

const MAKE = {
  pg: (options) => new pg.Pool(options),
  plain: (options) => new Pool(options),
  workers: (options) => createWorkersPool(options),
};
const pools = new Map();

function poolOf(kind, { DATABASE_URL }) {
  if (!pools.has(kind)) pools.set(kind, MAKE[kind]({ connectionString: DATABASE_URL, max: 4, name: 'shop' }));
  return pools.get(kind);
}

export default {
  async fetch(request, env) {
    const kind = new URL(request.url).pathname.slice(1);
    // A timer of this request's own: the platform would end a request that has none with an error of its own.
    const patience = new Promise((resolve) => {
      setTimeout(resolve, 1_500, 'no answer in 1.5 s');
    });
    const asked = (async () => {
      await poolOf(kind, env).query('select 1 as one');
      return 'a row';
    })();
    return Response.json(await Promise.race([asked, patience]).catch(({ name, message }) => `${name}: ${message}`));
  },
};
