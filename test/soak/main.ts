// `npm run soak -- --seconds N`: two pools, one per kind of reset, under everything that can be done to a pool. Prints its
// equations; exits 0 only if all of them hold.

import { UsageError } from '../../demo/arguments.ts';
import { Screen } from '../../demo/screen.ts';
import { withClient } from '../../src/testing/embedded-client.ts';
import { embeddedPostgres } from '../../src/testing/embedded-postgres.ts';
import { secondsFrom } from './arguments.ts';
import { balance } from './balance.ts';
import { type Outcome, soak, TABLE } from './soak.ts';

const FINDINGS_SHOWN = 12;

function show(outcome: Outcome, screen: Screen): number {
  screen.title(outcome.name);
  screen.line('  measures taken');
  screen.table(Object.entries(outcome.measures).map(([name, n]) => [n, name]));
  screen.line('  reports of the pool');
  screen.table(Object.entries(outcome.reports).map(([code, n]) => [n, code]));
  screen.line(
    `  ${outcome.samples} looks at pg_stat_activity; at most ${outcome.lingering} sessions whose socket was already gone`,
  );
  const equations = balance(outcome.figures);
  for (const { subject, text, holds } of equations) {
    screen.text(`${holds ? 'ok   ' : 'WRONG'} ${subject.padEnd(11)} ${text}`, 4, holds ? undefined : 'red');
  }
  for (const finding of outcome.findings.slice(0, FINDINGS_SHOWN)) screen.text(`found: ${finding}`, 4, 'red');
  const more = outcome.findings.length - FINDINGS_SHOWN;
  if (more > 0) screen.text(`… and ${more} more`, 4, 'red');
  return equations.filter(({ holds }) => !holds).length;
}

async function main(screen: Screen): Promise<number> {
  const seconds = secondsFrom(process.argv.slice(2));
  await using server = await embeddedPostgres();
  screen.line(`PostgreSQL ${server.version}: ${server.origin}; ${seconds} s`);
  await withClient(server.config, (client) => client.query(TABLE));
  const say = (text: string): void => screen.line(`  ${text}`);
  const outcomes = await Promise.all([soak(server, 'rollback', seconds, say), soak(server, 'discard', seconds, say)]);
  const wrong = outcomes.map((outcome) => show(outcome, screen)).reduce((sum, n) => sum + n, 0);
  screen.line();
  screen.line(wrong === 0 ? 'All equations hold.' : `${wrong} equations do not hold.`);
  return wrong === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(new Screen(process.stdout, process.env));
} catch (error) {
  const wrongUse = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  process.stderr.write(wrongUse ? `${error.message}\n` : `the soak could not run: ${String(error)}\n`);
  process.exitCode = wrongUse ? 2 : 1;
}
