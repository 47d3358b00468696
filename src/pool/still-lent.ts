// What a test is told of connections that are still lent at its end. Pure.

import type { Holder } from '../contracts/snapshot.ts';

const UNKNOWN = 'an unknown place (callSites: true shows it)';

export function stillLent(pool: string, holders: readonly Holder[]): string {
  const lines = holders.map(({ id, label, site = UNKNOWN, lastStatement }) => {
    const what = lastStatement === undefined ? '' : ` after ${lastStatement}`;
    return `  lease ${id}${label === undefined ? '' : ` (${label})`} taken at ${site}${what}`;
  });
  return `${pool}: ${holders.length} still lent:\n${lines.join('\n')}`;
}
