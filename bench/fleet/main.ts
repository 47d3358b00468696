// node build/bench/fleet/main.js [--seconds 60] [--seed N] [--processes 200] [--limit 100] [--hungry 120] [--max 10] [--calm] [--json]
// Simulates a fleet and prints what it did. Exits with 1 if something was seen that must never be.

import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: '200' },
    limit: { type: 'string', default: '100' },
    hungry: { type: 'string', default: '120' },
    max: { type: 'string', default: '10' },
    calm: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [processes, limit, hungry, max] = [values.processes, values.limit, values.hungry, values.max].map(Number) as [
  number,
  number,
  number,
  number,
];
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const f = await simulate({ processes, limit, seconds, seed, max, hungry, storms: !values.calm });

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
const statements = Object.entries(f.statementsPerS);
const total = statements.reduce((sum, [, count]) => sum + count, 0);
const lines: [string, string][] = [
  ['processes, limit', `${processes} (${hungry} hungry), ${limit}; ${seconds} s, seed ${seed}`],
  ['weather', `${f.crashes} crashes, ${f.pauses} pauses`],
  ['most permits granted', String(f.mostGranted)],
  ['most sessions', `${f.mostSessions}; at most ${f.mostUnproven} without a permit in one process`],
  ['granted, lent while wanted', `${percent(f.granted)}, ${percent(f.lent)}`],
  ['uses, failures', `${f.ops}, ${f.failures}`],
  [
    "Jain's index of the hungry",
    `${f.jain.toFixed(3)} (least ${f.opsOfHungry.least}, median ${f.opsOfHungry.median}, most ${f.opsOfHungry.most})`,
  ],
  [
    'permit of a crashed one used again',
    `p50 ${f.rebalanceMs.p50} ms, p99 ${f.rebalanceMs.p99} ms (${f.rebalanceMs.count})`,
  ],
  ['nine tenths back after a restart', f.restartMs === undefined ? '-' : `${Math.round(f.restartMs)} ms`],
  ['statements a second', `${total.toFixed(0)}: ${statements.map(([kind, count]) => `${kind} ${count}`).join(', ')}`],
  ['… for each process', (total / processes).toFixed(2)],
  ['connects a second', String(f.connectsPerS)],
  ['notifies a second', `${f.notifiesPerS}, delivered ${f.deliveredPerS} times`],
];
if (values.json) console.log(JSON.stringify(f));
else for (const [what, value] of lines) console.log(`${what.padEnd(36)}${value}`);
for (const what of f.wrong) console.error(`WRONG: ${what}`);
process.exitCode = f.wrong.length === 0 ? 0 : 1;
