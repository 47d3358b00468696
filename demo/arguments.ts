// What can be said on the command line. Owns the names, the ranges and the texts for what is wrong.

import { parseArgs } from 'node:util';

export const USAGE = `npm run demo -- [--seconds N] [--json]

  --seconds N   how long the booking service is under load, 3 to 600 (default 15)
  --json        the figures as one line of JSON, last
  --help        this text

A PostgreSQL server of its own is started and removed again; set DATABASE_URL to use yours
(then in a schema of its own, and without a restart).`;

export interface Arguments {
  readonly seconds: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** Something on the command line is wrong; the message says what was expected. */
export class UsageError extends Error {}

/** A whole number between `low` and `high`, or a `UsageError`. */
export function wholeNumber(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new UsageError(`${name}: expected a whole number from ${low} to ${high}, got '${text}'`);
  }
  return value;
}

export function readArguments(argv: readonly string[]): Arguments {
  const { values } = parse(argv);
  return {
    seconds: wholeNumber('--seconds', values.seconds ?? '15', 3, 600),
    json: values.json ?? false,
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]): { values: { seconds?: string; json?: boolean; help?: boolean } } {
  try {
    return parseArgs({
      args: [...argv],
      options: { seconds: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
