// What a lease is called in a report: its number, its label, and where it was taken, as far as they are known. Pure.

import type { LeaseRecord } from '../contracts/ledger.ts';

export function leaseName({ id, label }: Pick<LeaseRecord, 'id' | 'label'>, site: string | undefined): string {
  const labelled = label === undefined ? '' : ` (${label})`;
  return `lease ${id}${labelled}${site === undefined ? '' : ` taken at ${site}`}`;
}
