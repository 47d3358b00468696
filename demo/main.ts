// `npm run demo`: the fault that the project exists for, then a service that lives through kills and a restart. Owns the order of
// the scenes, the exit code (0 only if the books balance; 1 if not; 2 for a wrong command line) and a clean end on Ctrl-C.

import { embeddedPostgres } from '../src/testing/embedded-postgres.ts';
import { type Arguments, readArguments, USAGE, UsageError } from './arguments.ts';
import { showResult } from './booking/report.ts';
import { bookingScene } from './booking/scene.ts';
import { balance } from './books/balance.ts';
import { nestedScene } from './fault/nested.ts';
import { threadScene } from './fault/threads.ts';
import { workersScene } from './fault/workers.ts';
import { Screen } from './screen.ts';

const INTERRUPTED = 130;

async function run(asked: Arguments, screen: Screen, signal: AbortSignal): Promise<number> {
  const began = performance.now();
  await using server = await embeddedPostgres();
  screen.line(`PostgreSQL ${server.version}: ${server.origin}`);
  await nestedScene(server.config, screen, signal);
  await threadScene(server, screen);
  signal.throwIfAborted();
  await workersScene(server, screen);
  signal.throwIfAborted();

  screen.title('Scene two: a booking service whose connections are killed');
  const result = await bookingScene(server, asked.seconds, screen, signal);
  const equations = balance(result.figures);
  showResult(result, equations, screen);
  const wrong = equations.filter(({ holds }) => !holds).length;
  const seconds = Math.round((performance.now() - began) / 1_000);
  screen.line();
  if (wrong === 0) screen.line(screen.paint('green', `  All ${equations.length} equations hold. ${seconds} s in all.`));
  else screen.line(screen.paint('red', `  ${wrong} of ${equations.length} equations do not hold.`));
  if (asked.json) screen.line(JSON.stringify({ ok: wrong === 0, seconds, ...result, equations }));
  return wrong === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const screen = new Screen(process.stdout, process.env);
  const interrupt = new AbortController();
  // The second Ctrl-C finds no listener and ends the process as ever.
  process.once('SIGINT', () => {
    screen.clearStatus();
    screen.line('  interrupted: closing');
    interrupt.abort();
  });
  try {
    const asked = readArguments(process.argv.slice(2));
    if (asked.help) {
      screen.line(USAGE);
      return 0;
    }
    return await run(asked, screen, interrupt.signal);
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    screen.clearStatus();
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${USAGE}\n`);
      return 2;
    }
    process.stderr.write(`the demo could not run: ${error instanceof Error ? error.stack : String(error)}\n`);
    return 1;
  }
}

process.exitCode = await main();
