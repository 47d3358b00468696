// `npm run soak`: everything that can be done to a pool, at once. Prints its equations and figures; exits 0 only if all of them hold
// for ours. With `threads` it is one limit in several threads. With `--peers` the other pools are put through the same, each in a process of its own.

import { fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { UsageError } from '../../demo/arguments.ts';
import { Screen } from '../../demo/screen.ts';
import { type Arguments, CONTESTANTS, type Manners, readArguments, USAGE } from './arguments.ts';
import { planned } from './faults.ts';
import { page, show } from './report.ts';
import { Choice, type Job, type Outcome, soak } from './soak.ts';
import { soakThreads } from './threads.ts';

const CHILD = '--child';

function showPlan({ seed, plan }: Arguments, screen: Screen): void {
  for (let n = 0; n < plan; n += 1) {
    const { name, gapMs } = planned(seed, n);
    screen.line(`  fault ${n}: after ${gapMs} ms, ${name}`);
  }
  const choice = new Choice(seed);
  for (let task = 0; task < 3; task += 1) {
    const names = Array.from({ length: Math.min(plan, 8) }, (_, n) => choice.of(task, n, false).name);
    screen.text(`task ${task}: ${names.join(', ')}`);
  }
}

/** A peer may do to its process what it likes. */
function inItsOwnProcess(job: Job, say: (text: string) => void): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL(import.meta.url), [CHILD, JSON.stringify(job)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let outcome: Outcome | undefined;
    child.on('message', (message: { outcome?: Outcome; said?: string }) => {
      if (message.said !== undefined) say(message.said);
      outcome ??= message.outcome;
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (outcome === undefined) reject(new Error(`the process of ${job.contestant} ended early (${String(code)})`));
      else resolve(outcome);
    });
  });
}

async function asChild(job: Job): Promise<void> {
  const outcome = await soak(job, (said) => process.send?.({ said }));
  await new Promise((sent) => process.send?.({ outcome }, sent));
  // Whatever hung holds the process.
  process.exit(0);
}

async function main(screen: Screen): Promise<number> {
  const asked = readArguments(process.argv.slice(2));
  if (asked.help) {
    screen.line(USAGE);
    return 0;
  }
  if (asked.threads) return soakThreads(asked.seconds, asked.seed, screen);
  screen.line(`seed ${asked.seed}`);
  if (asked.plan > 0) {
    showPlan(asked, screen);
    return 0;
  }
  const { seconds, seed, reset, silentAfter, speaker } = asked;
  const outcomes: Outcome[] = [];
  let wrong = 0;
  const manners: readonly Manners[] = asked.peers ? ['well-behaved', 'all'] : ['all'];
  for (const contestant of asked.peers ? CONTESTANTS : (['oxbow'] as const)) {
    for (const manner of manners) {
      const job: Job = { contestant, manners: manner, seconds, seed, reset, silentAfter, speaker };
      const say = (text: string): void => screen.line(`  ${contestant}, ${manner}: ${text}`);
      const outcome = await (asked.peers ? inItsOwnProcess(job, say) : soak(job, say));
      outcomes.push(outcome);
      const faulty = show(outcome, screen);
      if (contestant === 'oxbow') wrong += faulty;
    }
  }
  if (asked.write) await writeFile(new URL('../../../docs/benchmarks/soak.md', import.meta.url), page(outcomes));
  screen.line();
  screen.line(wrong === 0 ? 'All equations hold.' : `${wrong} equations do not hold; seed ${seed}.`);
  return wrong === 0 ? 0 : 1;
}

if (process.argv[2] === CHILD) {
  await asChild(JSON.parse(process.argv[3] ?? '') as Job);
} else {
  try {
    process.exitCode = await main(new Screen(process.stdout, process.env));
  } catch (error) {
    const wrongUse = error instanceof UsageError;
    process.stderr.write(wrongUse ? `${error.message}\n\n${USAGE}\n` : `the soak could not run: ${String(error)}\n`);
    process.exitCode = wrongUse ? 2 : 1;
  }
}
