// Lends a connection to a function, which is a task of its own then. Owns that it comes back however the function ends, and what an abort does meanwhile: the lease is
// taken away, and the caller hears the signal's reason as soon as the function has settled, or a little later if it never does.

import { LeaseError } from '../contracts/errors.ts';
import { beginCall, inside } from '../diagnosis/tasks.ts';
import type { PoolLease } from './lease.ts';

type Lent<T> = (lease: PoolLease) => T | Promise<T>;

/** What `fn` does is a task of `pool`. `graceMs`: how long a function may go on after the abort before its caller is told without it. */
export async function lend<T>(
  pool: object,
  acquired: Promise<PoolLease>,
  fn: Lent<T>,
  signal: AbortSignal | undefined,
  graceMs: number,
): Promise<T> {
  const lease = await acquired;
  if (signal === undefined) return run(lease, fn, pool);
  const { clock } = lease.session;
  let aborted: () => void = () => {};
  const abort = new Promise<never>((_, reject) => {
    aborted = () => {
      lease.revoke(new LeaseError('LEASE_REVOKED', `lease ${lease.id} was revoked: its signal aborted`, signal.reason));
      const late = clock.timer(graceMs, () => reject(signal.reason), true);
      work.finally(() => late.cancel()).catch(() => {});
    };
  });
  const work = run(lease, fn, pool);
  if (signal.aborted) aborted();
  else signal.addEventListener('abort', aborted, { once: true });
  try {
    const value = await Promise.race([work, abort]);
    if (signal.aborted) throw signal.reason;
    return value;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}

async function run<T>(lease: PoolLease, fn: Lent<T>, pool: object): Promise<T> {
  const call = beginCall(lease, pool);
  try {
    return await (call === undefined ? fn(lease) : inside(call, fn, lease));
  } finally {
    call?.end();
    if (!lease.released) lease.release();
    await lease.whenReturned();
  }
}
