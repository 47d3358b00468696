// `npm run bench -- NAME`: finds the benchmark of that name and runs it. Owns the command line and the exit code; each claim has a
// folder of its own.

import { core } from './core/report.ts';
import type { Bench } from './lib/bench.ts';
import { publish } from './lib/publish.ts';
import { listeners } from './listeners/report.ts';
import { queries } from './queries/report.ts';
import { tasks } from './tasks/report.ts';
import { waiters } from './waiters/report.ts';

const BENCHES: readonly Bench[] = [core, waiters, queries, listeners, tasks];

const [name, ...flags] = process.argv.slice(2);
const bench = BENCHES.find((one) => one.name === name);
const unknown = flags.filter((flag) => !['--json', '--write', '--quick', '--all'].includes(flag));

if (bench === undefined || unknown.length > 0) {
  const lines = BENCHES.map((one) => `  ${one.name.padEnd(10)}${one.claim}`);
  const wrong = unknown.length > 0 ? `unknown: ${unknown.join(' ')}\n\n` : '';
  console.log(`${wrong}usage: npm run bench -- NAME [--json] [--write] [--quick | --all]\n\n${lines.join('\n')}`);
  process.exitCode = 2;
} else {
  const all = flags.includes('--all');
  const quick = flags.includes('--quick') && !all;
  const report = await bench.run({ quick, all, progress: (text) => console.error(text) });
  await publish(bench, report, { json: flags.includes('--json'), write: flags.includes('--write') && !all });
  process.exitCode = report.noise === undefined && report.goals.every((goal) => goal.met) ? 0 : 1;
}
