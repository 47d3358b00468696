// The soak's command line: how long.

import { parseArgs } from 'node:util';
import { wholeNumber } from '../../demo/arguments.ts';

export function secondsFrom(argv: readonly string[]): number {
  const { values } = parseArgs({ args: [...argv], options: { seconds: { type: 'string' } } });
  return wholeNumber('--seconds', values.seconds ?? '60', 5, 36_000);
}
