// The build with the channels taken out, to compare with: a copy of it in which no place asks whether anybody subscribes, and what stands
// between the pool and its engine to trace a lend is not there. Owns the changes; a change that finds nothing to change is an error.

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILT = fileURLToPath(new URL('../../src', import.meta.url));
const STRIPPED = fileURLToPath(new URL('../../stripped', import.meta.url));

/** By the file, or in each. */
const CHANGES: readonly (readonly [file: string, from: RegExp, to: string])[] = [
  ['pool/pool.js', /this\.#publisher\.acquire\(/g, 'this.#engine.acquire('],
  ['pool/pool-query.js', /this\.#publisher\.acquire\(/g, 'this.#engine.acquire('],
  ['pool/pool-query.js', /if \(this\.#publisher\.wantsEachQuery\)/g, 'if (false)'],
  ['pool/lease.js', /if \(transactions\.hasSubscribers\)/g, 'if (false)'],
  ['pool/lease.js', /Object\.defineProperty\(Class\.prototype, 'release'/g, "Object.defineProperty({}, 'release'"],
  ['pg/speaker.js', /if \(hearer\?\.wanted === true\)/g, 'if (false)'],
];

function change(file: string, from: RegExp, to: string): void {
  const path = join(STRIPPED, file);
  const text = readFileSync(path, 'utf8');
  const changed = text.replaceAll(from, to);
  if (changed === text) throw new Error(`nothing in ${file} is like ${from}`);
  writeFileSync(path, changed);
}

/** Makes it; once, before the processes that use it. */
export function strip(): void {
  rmSync(STRIPPED, { recursive: true, force: true });
  cpSync(BUILT, STRIPPED, { recursive: true });
  for (const [file, from, to] of CHANGES) change(file, from, to);
  const left = readdirSync(join(STRIPPED, 'pool')).filter((file) => file.endsWith('.js') && file !== 'publisher.js');
  const asks = left.filter((file) =>
    /(?<!if \()\w+\.hasSubscribers/.test(readFileSync(join(STRIPPED, 'pool', file), 'utf8')),
  );
  if (asks.some((file) => file !== 'lease.js')) throw new Error(`still asks for subscribers: ${asks.join(', ')}`);
}

/** Its front door. */
export function strippedBuild(): string {
  return join(STRIPPED, 'doors', 'index.js');
}
