// The books of the booking service: from plain figures to equations. Pure, so that a test can doctor the figures and see the
// books refuse them.

import type { PoolStats } from '../../src/doors/index.ts';
import { isAllowed } from './cause.ts';
import type { ConnectionFigures } from './connection-book.ts';
import { type Equation, equation, sum } from './equation.ts';

export interface Answers {
  /** Requests that customers sent. */
  readonly requests: number;
  readonly read: number;
  /** Requests to book that were answered with a booking. */
  readonly booked: number;
  /** The seat was sold to somebody else: an answer, not a failure. */
  readonly taken: number;
  readonly failed: Readonly<Record<string, number>>;
  /** Requests to book that failed; whether their COMMIT arrived is unknown for those who lost their connection. */
  readonly bookingsFailed: Readonly<Record<string, number>>;
  /** Served after the last fault was over. */
  readonly servedAfterwards: number;
}

export interface Rows {
  /** Seats that a customer was told are theirs. */
  readonly acknowledged: number;
  readonly found: number;
  /** Acknowledged seats that stand in the table under exactly this request. */
  readonly foundAcknowledged: number;
  /** Requests whose answer was lost, but whose booking is there. */
  readonly foundInDoubt: number;
  /** Seats found of a group that is there in part only. */
  readonly halves: number;
  readonly soldTwice: number;
  readonly payments: number;
  /** The sum over the flights' own counts of seats sold. */
  readonly countedByFlights: number;
}

export interface Faults {
  readonly killedWhileLent: number;
  readonly killsAskedFor: number;
  readonly restarts: number;
  readonly restartsAskedFor: number;
}

export interface Figures {
  readonly max: number;
  readonly answers: Answers;
  readonly rows: Rows;
  readonly faults: Faults;
  readonly connections: ConnectionFigures;
  readonly stats: Pick<PoolStats, 'connects' | 'connectsFailed' | 'connectionsLost' | 'retired' | 'size'>;
  readonly sockets: { readonly made: number; readonly gone: number; readonly peak: number };
  readonly sessionsAfterClose: number;
}

export function balance(f: Figures): Equation[] {
  const { answers, rows, faults, connections: c, stats, sockets } = f;
  const retired = sum(c.retired);
  const failed = sum(answers.failed);
  const unexplained = sum(Object.fromEntries(Object.entries(answers.failed).filter(([cause]) => !isAllowed(cause))));
  const lostAnswers = answers.bookingsFailed['connection lost'] ?? 0;
  return [
    equation('requests', { sent: answers.requests }, '=', {
      read: answers.read,
      booked: answers.booked,
      'seat taken': answers.taken,
      failed,
    }),
    equation('failures', { 'with no allowed cause': unexplained }, '=', { '': 0 }),
    // A connection that dies takes one request with it at most.
    equation('', { 'for a lost connection': answers.failed['connection lost'] ?? 0 }, '≤', {
      'connections lost': c.lost,
    }),
    equation('recovery', { 'served after the last fault': answers.servedAfterwards }, '≥', { '': 1 }),
    equation('bookings', { 'seats acknowledged': rows.acknowledged }, '=', {
      'of these found': rows.foundAcknowledged,
    }),
    equation('', { 'seats found': rows.found }, '=', {
      acknowledged: rows.foundAcknowledged,
      'in doubt': rows.foundInDoubt,
    }),
    // A group books two seats.
    equation('', { 'in doubt': rows.foundInDoubt }, '≤', {
      'twice the answers lost with their connection': 2 * lostAnswers,
    }),
    equation('', { 'sold twice': rows.soldTwice, 'groups in halves': rows.halves }, '=', { '': 0 }),
    equation('', { 'seats found': rows.found }, '=', { payments: rows.payments }),
    equation('', { 'seats found': rows.found }, '=', { "flights' own counts": rows.countedByFlights }),
    equation('connections', { opened: c.opened }, '=', { ...prefixed(c.retired), lost: c.lost, open: c.open }),
    equation('', { attempts: c.attempts }, '=', { opened: c.opened, 'never opened': c.neverOpened }),
    equation('', { 'open or ending after close': c.open + c.ending + stats.size }, '=', { '': 0 }),
    equation('', { lent: c.lent }, '=', { returned: c.returned, 'lost while lent': c.lostWhileLent, out: c.stillLent }),
    equation('', { 'things that cannot happen': c.oddities.length }, '=', { '': 0 }),
    equation('stats()', { attempts: stats.connects }, '=', { 'seen by observe()': c.attempts }),
    equation('', { lost: stats.connectionsLost }, '=', { 'seen by observe()': c.lost }),
    equation('', { retired: sum(stats.retired) }, '=', {
      'seen by observe()': retired,
      'before they were open': c.retiredUnopened,
    }),
    equation('sockets', { made: sockets.made }, '=', { gone: sockets.gone }),
    equation('', { 'most at once': sockets.peak }, '≤', { max: f.max }),
    equation('', { 'in pg_stat_activity after close': f.sessionsAfterClose }, '=', { '': 0 }),
    equation('faults', { 'killed while lent': faults.killedWhileLent }, '≥', { wanted: faults.killsAskedFor }),
    equation('', { restarts: faults.restarts }, '=', { wanted: faults.restartsAskedFor }),
  ];
}

function prefixed(retired: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(retired).map(([reason, n]) => [`retired (${reason})`, n]));
}
