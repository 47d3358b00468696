// What one runtime makes of the probes. Owns that a runtime which stops half-way has failed in all that it did not come to.

import { join } from 'node:path';
import { root } from '../laws/tree.ts';
import type { Outcome } from './probe.ts';
import { PROBES } from './probes.ts';
import { runIn } from './runtimes.ts';

const PROGRAM = join(root, 'build', 'test', 'runtimes', 'main.js');

function outcomeOf(line: string): Outcome | undefined {
  try {
    const { name, ok, detail }: Outcome = JSON.parse(line);
    return typeof name === 'string' ? { name, ok, detail } : undefined;
  } catch {
    return undefined; // a runtime's own words
  }
}

/** One outcome for each probe, in their order. */
export async function measure(binary: string, launch: readonly string[], url: string): Promise<Outcome[]> {
  const ran = await runIn(binary, [...launch, PROGRAM], { OXBOW_PROBE_SERVER: url }, 180_000);
  const came = ran.stdout.split('\n').flatMap((line) => outcomeOf(line) ?? []);
  const why = `the process ended before it (${ran.code}): ${ran.stderr.replaceAll(/\s+/g, ' ').slice(-300)}`;
  return PROBES.map(({ name }) => came.find((outcome) => outcome.name === name) ?? { name, ok: false, detail: why });
}
