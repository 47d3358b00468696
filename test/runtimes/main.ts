// node|bun|deno run -A build/test/runtimes/main.js [part of a name], with OXBOW_PROBE_SERVER=postgres://user@host:port/database
// Plays the probes, one after the other, and prints a line of JSON for each, {name, ok, detail}; the last one says that it came to its end.

import { writeSync } from 'node:fs';
import pg from 'pg';
import { play } from './probe.ts';
import { PROBES } from './probes.ts';
import { isPart } from './probes-around.ts';

async function main(url: string, part: string): Promise<void> {
  const admin = new pg.Client(url);
  await admin.connect();
  for (const probe of PROBES.filter(({ name }) => name.includes(part))) {
    const began = performance.now();
    const outcome = await play(probe, url, admin);
    const ms = Math.round(performance.now() - began);
    writeSync(1, `${JSON.stringify({ ...outcome, ms })}\n`);
  }
  await admin.end();
  writeSync(1, `${JSON.stringify({ ended: true })}\n`);
  // What a failed probe has left may hold the process.
  process.exit();
}

if (!isPart()) {
  const url = process.env.OXBOW_PROBE_SERVER;
  if (url === undefined) throw new Error('OXBOW_PROBE_SERVER has to name a server');
  await main(url, process.argv[2] ?? '');
}
