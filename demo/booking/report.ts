// What scene two ends with: the table and the equations, on the screen. Owns the layout only.

import { ALLOWED, isAllowed } from '../books/cause.ts';
import type { Equation } from '../books/equation.ts';
import type { Screen } from '../screen.ts';
import type { BookingResult } from './scene.ts';

const CONFLICTS: Record<string, string> = {
  '23505': 'unique violation: the seat was taken first',
  '40001': 'serialization failure, tried again',
  '40P01': 'deadlock detected, tried again',
};

export function showResult(result: BookingResult, equations: readonly Equation[], screen: Screen): void {
  const { answers, connections, faults } = result.figures;
  const failures = Object.entries(answers.failed);
  screen.line();
  screen.line('  Requests');
  screen.table([
    [answers.requests, 'sent'],
    [answers.read, 'read (200)'],
    [answers.booked, 'booked (201)'],
    [answers.taken, 'seat taken (409), an answer like any other'],
    ...failures.map(([cause, n]) => [n, `failed (503), ${cause}${isAllowed(cause) ? `: ${ALLOWED[cause]}` : ''}`]),
    ...(failures.length === 0 ? [[0, 'failed (503)']] : []),
  ]);
  screen.line(
    `    p50 ${ms(result.p50Ms)}, p99 ${ms(result.p99Ms)}, slowest ${ms(result.slowestMs)} (the restart included)`,
  );
  screen.line('  Conflicts that the service dealt with');
  screen.table(Object.entries(result.conflicts).map(([code, n]) => [n, `${code} ${CONFLICTS[code] ?? ''}`]));
  screen.line('  Faults');
  screen.table([
    [faults.killedWhileLent, 'backends killed while lent'],
    [result.killed - faults.killedWhileLent, 'killed at the moment of their return, not counted'],
    [faults.restarts, faults.restartsAskedFor === 0 ? 'restarts: left out, the server is yours' : 'server restarts'],
  ]);
  screen.line('  Connections');
  screen.table([
    [connections.opened, `opened, in ${connections.attempts} attempts`],
    [connections.lost, `lost, ${connections.lostWhileLent} of them while lent`],
    ...Object.entries(connections.retired).map(([reason, n]) => [n, `retired: ${reason}`]),
    [result.atClose.closed, 'said goodbye at close()'],
    [result.atClose.cancelled + result.atClose.destroyed, 'had to be cancelled or cut at close()'],
    ...Object.entries(result.reports).map(([code, n]) => [n, `reports ${code}`]),
  ]);
  screen.line();
  screen.line('  The books');
  screen.table(equations.map(({ subject, text, holds }) => [holds ? 'ok' : 'WRONG', subject, text]));
  for (const oddity of connections.oddities.slice(0, 10)) screen.text(`odd: ${oddity}`, 4, 'red');
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
