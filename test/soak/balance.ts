// The books of one pool's soak: from plain figures to equations. Pure.

import type { ConnectionFigures } from '../../demo/books/connection-book.ts';
import { type Equation, equation, sum } from '../../demo/books/equation.ts';
import type { PoolStats } from '../../src/doors/index.ts';

export interface SoakFigures {
  readonly max: number;
  readonly asked: number;
  readonly served: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly unanswered: number;
  readonly unexpected: number;
  readonly violations: number;
  readonly rows: {
    readonly acknowledged: number;
    readonly acknowledgedFound: number;
    readonly inDoubtFound: number;
    readonly forbiddenFound: number;
    readonly found: number;
  };
  readonly connections: ConnectionFigures;
  readonly stats: PoolStats;
  readonly sockets: { readonly made: number; readonly gone: number; readonly peak: number };
  readonly sessions: { readonly mostLiving: number; readonly left: number };
  readonly measuresThatFailed: number;
}

export function balance(f: SoakFigures): Equation[] {
  const { connections: c, stats, rows, sockets, sessions } = f;
  return [
    equation('requests', { asked: f.asked }, '=', { served: f.served, ...f.failed, unanswered: f.unanswered }),
    equation('', { unanswered: f.unanswered, unexpected: f.unexpected }, '=', { '': 0 }),
    equation('', { 'stats().requests': stats.requests }, '=', {
      lent: c.lent,
      ...named('refused', stats.requestsFailed),
    }),
    equation('borrowers', { 'saw what must not be seen': f.violations }, '=', { '': 0 }),
    equation('rows', { acknowledged: rows.acknowledged }, '=', { 'of these found': rows.acknowledgedFound }),
    equation('', { found: rows.found }, '=', { acknowledged: rows.acknowledgedFound, 'in doubt': rows.inDoubtFound }),
    equation('', { 'found though never committed': rows.forbiddenFound }, '=', { '': 0 }),
    equation('connections', { opened: c.opened }, '=', { ...named('retired', c.retired), lost: c.lost, open: c.open }),
    equation('', { attempts: c.attempts }, '=', { opened: c.opened, 'never opened': c.neverOpened }),
    equation('', { lent: c.lent }, '=', { returned: c.returned, 'lost while lent': c.lostWhileLent, out: c.stillLent }),
    equation('', { 'open, ending or out after close': c.open + c.ending + c.stillLent + stats.size }, '=', { '': 0 }),
    equation('', { 'things that cannot happen': c.oddities.length }, '=', { '': 0 }),
    equation('stats()', { attempts: stats.connects }, '=', { 'seen by observe()': c.attempts }),
    equation('', { lost: stats.connectionsLost }, '=', { 'seen by observe()': c.lost }),
    equation('', { returns: stats.returns }, '=', { 'seen by observe()': c.returned }),
    equation('', { retired: sum(stats.retired) }, '=', {
      'seen by observe()': sum(c.retired),
      'before they were open': c.retiredUnopened,
    }),
    equation('sockets', { made: sockets.made }, '=', { gone: sockets.gone }),
    equation('', { 'most at once': sockets.peak }, '≤', { max: f.max }),
    equation('sessions', { 'most at once, with a socket': sessions.mostLiving }, '≤', { max: f.max }),
    equation('', { 'on the server after close': sessions.left }, '=', { '': 0 }),
    equation('operator', { 'measures that failed or never ended': f.measuresThatFailed }, '=', { '': 0 }),
  ];
}

function named(what: string, counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([reason, n]) => [`${what} (${reason})`, n]));
}
