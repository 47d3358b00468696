// What is wrong with an attempt to connect: pure judgements and texts. Decides nothing about what follows from them.

import type { Driver, Fault, Session, SessionStatus } from '../contracts/driver.ts';
import { ConnectError } from '../contracts/errors.ts';
import type { Household } from './household.ts';
import type { Outcome } from './steps.ts';

/** How far it came: connecting, proving its permit, being prepared by the user's hook. */
export type ConnectStage = 'open' | 'admit' | 'configure';

/** What is wrong after `configure`: it must end in time, without an error, and leave the session at rest. */
export function faultOfConfigure(
  done: Outcome<unknown>,
  status: SessionStatus,
  connectTimeoutMs: number,
): Error | undefined {
  if (done.is === 'late') {
    return new Error(`configure did not end within connectTimeoutMs (${connectTimeoutMs} ms for the whole attempt)`);
  }
  if (done.is === 'failed') return done.error instanceof Error ? done.error : new Error(String(done.error));
  if (status === 'idle') return undefined;
  return new Error(`configure left the connection in state "${status}"; it must end at rest, outside a transaction`);
}

/** In which step an attempt failed: the user's own functions are no fault of the server's. */
export function whatFailed(driver: Driver, error: Error, stage: ConnectStage): string {
  const where = driver.target === undefined ? '' : ` to ${driver.target}`;
  if (stage === 'configure') return `connected${where}, but configure failed`;
  if (stage === 'admit') return `connected${where}, but the budget refused the connection`;
  const option = driver.thrownBy?.(error);
  return `cannot connect${where}${option === undefined ? '' : `: the function in option "${option}" threw`}`;
}

/** What the borrowers are told of it; `what` failed. */
export function connectError<S extends Session>(
  { driver, settings }: Household<S>,
  what: string,
  error: Error,
  transient: boolean,
): ConnectError {
  const text = settings.pgManners ? `${error.message} (${what})` : `${what}: ${error.message}`;
  return new ConnectError(text, { host: driver.target, transient }, error);
}

/** A budget says itself whether another attempt may help; of everything else the driver knows. */
export function judge(driver: Driver, fault: unknown, stage: ConnectStage): Fault {
  return stage === 'admit' && fault instanceof ConnectError && !fault.transient ? 'permanent' : driver.classify(fault);
}
