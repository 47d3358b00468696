// The books of one soak: from plain figures to equations. Pure.

import { type Equation, equation, sum } from '../../demo/books/equation.ts';
import type { Outcome } from './soak.ts';

type Counts = Readonly<Partial<Record<string, number>>>;

export function balance(o: Outcome): Equation[] {
  const { rows, wire, sockets, sessions } = o;
  return [
    equation('requests', { asked: o.asked }, '=', { served: o.served, ...counts(o.failed), hung: o.hung }),
    equation('rows', { acknowledged: rows.acknowledged }, '=', { 'of these found': rows.acknowledgedFound }),
    equation('', { found: rows.found }, '=', { acknowledged: rows.acknowledgedFound, 'in doubt': rows.inDoubtFound }),
    // Where the pool's sockets are made here their descriptors are counted: the proxy does not see it when a client that has said
    // goodbye does not wait for the answer.
    ...(sockets === undefined
      ? [equation('sockets', { 'most at once, at the proxy': wire.peak }, '≤', { max: o.max })]
      : [
          equation('sockets', { made: sockets.made }, '=', { gone: sockets.gone, open: wire.open }),
          equation('', { 'most at once': sockets.peak }, '≤', { max: o.max }),
        ]),
    equation('sessions', { 'most at once, with a socket': sessions.mostLiving }, '≤', { max: o.max }),
    ...(o.books === undefined ? [] : ourBooks(o.books, o.reports)),
    equation('violations', counts(o.violations), '=', { '': 0 }),
  ];
}

function ourBooks(
  { connections: c, stats, forgotten: f }: NonNullable<Outcome['books']>,
  reports: Outcome['reports'],
): Equation[] {
  return [
    equation('leases', { forgotten: f.forgotten }, '=', { 'taken back': f.takenBack, lost: f.lost, out: f.out }),
    equation('', { 'still out': f.out }, '=', { '': 0 }),
    equation('', { reclaimed: stats.leasesReclaimed }, '=', { 'seen by observe()': f.takenBack }),
    equation('', { reported: reports.OXBOW_LEASE_COLLECTED ?? 0 }, '=', { reclaimed: stats.leasesReclaimed }),
    equation('connections', { opened: c.opened }, '=', { ...counts(c.retired), lost: c.lost, open: c.open }),
    equation('', { attempts: c.attempts }, '=', { opened: c.opened, 'never opened': c.neverOpened }),
    equation('', { lent: c.lent }, '=', { returned: c.returned, 'lost while lent': c.lostWhileLent, out: c.stillLent }),
    equation('', { 'open, ending or out after close': c.open + c.ending + c.stillLent + stats.size }, '=', { '': 0 }),
    equation('', { 'things that cannot happen': c.oddities.length }, '=', { '': 0 }),
    equation('stats()', { requests: stats.requests }, '=', { lent: c.lent, ...counts(stats.requestsFailed) }),
    equation('', { attempts: stats.connects }, '=', { 'seen by observe()': c.attempts }),
    equation('', { lost: stats.connectionsLost }, '=', { 'seen by observe()': c.lost }),
    equation('', { returns: stats.returns }, '=', { 'seen by observe()': c.returned }),
    equation('', { retired: sum(counts(stats.retired)) }, '=', {
      'seen by observe()': sum(counts(c.retired)),
      'before they were open': c.retiredUnopened,
    }),
  ];
}

function counts(of: Counts): Record<string, number> {
  const found = Object.entries(of).flatMap(([name, n]) => (n === undefined || n === 0 ? [] : [[name, n] as const]));
  return found.length === 0 ? { '': 0 } : Object.fromEntries(found);
}
