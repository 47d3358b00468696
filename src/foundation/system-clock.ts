// The one file that touches the machine's clock, timers and chance. Everything is captured when this file is loaded, so a
// test runner that later replaces the globals neither freezes nor trips a pool. Owns no state but those captures.

import { AsyncResource } from 'node:async_hooks';
import process, { hrtime } from 'node:process';
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import type { Clock, Timer } from '../contracts/clock.ts';
import { unowned } from './unowned.ts';

/**
 * Jest brings a copy of `process`, in which fake timers may have replaced `hrtime` before this file is loaded: it would stand still, and
 * with it every deadline, while the timers are the real ones.
 */
const machine = process.getBuiltinModule('node:process');
const ticks = machine === process ? hrtime : machine.hrtime;
const [bootS] = ticks();
/** The same clock as `performance.now()`, a sixth cheaper to read (Node 20 and 24); counted from now, so that milliseconds stay small. */
function monotonic(): number {
  const [seconds, nanoseconds] = ticks();
  return (seconds - bootS) * 1e3 + nanoseconds * 1e-6;
}
const wall = Date.now.bind(Date);
const chance = Math.random.bind(Math);

/** A longer delay overflows Node's 32-bit timer and would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Timers belong to the pool, not to the request in which they happened to be made. */
const ownContext = unowned(new AsyncResource('OxbowClock'));

/** Runs `work` in the context of nobody's request. */
export function detached<T>(work: () => T): T {
  return ownContext.runInAsyncScope(work);
}

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout | undefined;
  readonly #due: number;
  readonly #fire: () => void;
  readonly #holdsProcess: boolean;

  constructor(ms: number, fire: () => void, holdsProcess: boolean) {
    this.#due = monotonic() + ms;
    this.#fire = fire;
    this.#holdsProcess = holdsProcess;
    ownContext.runInAsyncScope(this.#arm, this, ms);
  }

  #arm(ms: number): void {
    this.#handle = setTimeout(this.#ring, Math.min(Math.max(Math.ceil(ms), 0), LONGEST_MS));
    if (!this.#holdsProcess) this.#handle.unref();
  }

  #ring = (): void => {
    const left = this.#due - monotonic();
    // Node rounds delays; a fraction of a millisecond early is on time, more than one is a delay that was cut above.
    if (left > 1) this.#arm(left);
    else this.#fire();
  };

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

let usage = typeof machine.cpuUsage === 'function' ? machine.cpuUsage : undefined;

function cpu(): number | undefined {
  if (usage === undefined) return undefined;
  try {
    const { user, system } = Reflect.apply(usage, machine, []);
    return (user + system) / 1e3;
  } catch {
    // Cloudflare's runtime has it, and throws that it is not implemented.
    usage = undefined;
    return undefined;
  }
}

/** Time as the machine knows it. */
export const systemClock: Clock = {
  now: monotonic,
  wall,
  timer: (ms, fire, holdsProcess = false) => new SystemTimer(ms, fire, holdsProcess),
  pollPhase: (then) => {
    ownContext.runInAsyncScope(() => setImmediate(then));
  },
  cpu,
  random: chance,
};
