// Who holds what, in words. Owns how holders are grouped and how much of a statement is quoted; pure.

import type { Holder } from '../contracts/snapshot.ts';
import { duration } from '../foundation/words.ts';

/** So much of a statement is quoted. */
const QUOTED = 80;
/** So many groups of holders are named. */
const NAMED = 3;

/** On one line, cut. */
function quoted(statement: string): string {
  const line = statement.replaceAll(/\s+/g, ' ').trim();
  return `\`${line.length > QUOTED ? `${line.slice(0, QUOTED)}…` : line}\``;
}

/** Those who took theirs at the same place and do the same. */
interface Group {
  readonly oldest: Holder;
  count: number;
}

/** The holders by call site, the longest held first: who has kept them, and what with. Connections of the pool `own` are simply its. */
export function told(holders: readonly Holder[], own?: string): string {
  const groups = new Map<string, Group>();
  for (const holder of holders) {
    const key = holder.site ?? holder.label ?? `${holder.busy}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { oldest: holder, count: 1 });
    else group.count += 1;
  }
  const all = [...groups.values()];
  const named = all.slice(0, NAMED).map((group) => toldOne(group, own));
  const left = all.slice(NAMED).reduce((sum, { count }) => sum + count, 0);
  if (left > 0) named.push(`${left} more elsewhere`);
  return named.join('; ');
}

function toldOne({ oldest, count }: Group, own: string | undefined): string {
  const { busy, heldMs, idleMs, inTransaction, label, lastStatement, pool, site } = oldest;
  const who = [pool === undefined || pool === own ? '' : ` of ${pool}`, site === undefined ? '' : ` by ${site}`].join(
    '',
  );
  const named = label === undefined ? '' : ` (${label})`;
  const held =
    count === 1 ? `held ${duration(heldMs)}${who}` : `${count} held${who}, the oldest for ${duration(heldMs)}`;
  const after = lastStatement === undefined ? '' : ` after ${quoted(lastStatement)}`;
  const doing = busy
    ? `running ${lastStatement === undefined ? 'a query' : quoted(lastStatement)}`
    : `${inTransaction === true ? 'idle in transaction' : 'idle'} for ${duration(idleMs)}${after}`;
  return `${held}${named}, ${doing}`;
}
