// A driver without a server: it answers as its script says, counts its sockets exactly, and can kill any session at any
// moment. For tests on the virtual clock. Knows the driver's contract and nothing of the pool behind it.

import type { Clock, Timer } from '../contracts/clock.ts';
import type {
  Condemnation,
  Doing,
  Driver,
  Fault,
  Inquiry,
  OpenAttempt,
  Session,
  SessionStatus,
} from '../contracts/driver.ts';

/** What may be asked of the driver. */
export type ScriptedCall =
  | 'open'
  | 'ping'
  | 'rollback'
  | 'discard'
  | 'restore'
  | 'inquire'
  | 'settle'
  | 'end'
  | 'destroy';

/** How one call goes. The default is: done, at once. */
export interface Behaviour {
  /** Milliseconds until it is done or fails. */
  readonly afterMs?: number;
  readonly fail?: Error;
  /** It never answers. An `open` that never answers still obeys the abort signal, unless `deaf`. */
  readonly never?: boolean;
  /** `open` only: takes no notice of the abort signal. */
  readonly deaf?: boolean;
  /** The status the session has afterwards; by default what the call is for. */
  readonly status?: SessionStatus;
  /** `settle` only: whether a statement still ran; true by default. */
  readonly cancelled?: boolean;
  /** `inquire` only: what is said of each; `working` by default. */
  readonly doing?: Doing;
}

export type Script = (call: ScriptedCall, session: ScriptedSession | undefined, count: number) => Behaviour | undefined;

/** An error with the code by which a driver classifies it. */
export function scriptedError(code: string, message: string = code): Error {
  return Object.assign(new Error(message), { code });
}

const AFTERWARDS: Partial<Record<ScriptedCall, SessionStatus>> = {
  rollback: 'idle',
  discard: 'idle',
  restore: 'idle',
  settle: 'idle',
};

export class ScriptedSession implements Session {
  status: SessionStatus = 'idle';
  readonly pid: number;
  lastStatement: string | undefined = undefined;
  quietSince: number | undefined = undefined;
  /** As the test says; `restore` and `baseline` clean it. */
  dirty: boolean | undefined = undefined;
  /** As the test says, together with the status. */
  condemned: Condemnation | undefined = undefined;
  /** As the test says. */
  traffic = 0;
  /** Whether its socket still exists. */
  alive = true;
  /** Everything that was asked of it, in order. */
  readonly calls: ScriptedCall[] = [];
  readonly #driver: ScriptedDriver;
  readonly #pending = new Set<(error: Error) => void>();
  #onLost: ((error: Error) => void) | undefined;
  #lost: Error | undefined;

  constructor(driver: ScriptedDriver, pid: number) {
    this.#driver = driver;
    this.pid = pid;
  }

  onLost(listener: (error: Error) => void): void {
    this.#onLost = listener;
    if (this.#lost !== undefined) this.#tell(this.#lost);
  }

  async ping(): Promise<void> {
    await this.#call('ping');
  }

  async rollback(): Promise<void> {
    await this.#call('rollback');
  }

  async discard(): Promise<void> {
    await this.#call('discard');
  }

  async restore(): Promise<void> {
    await this.#call('restore');
    this.dirty = false;
  }

  baseline(): void {
    if (this.dirty !== undefined) this.dirty = false;
  }

  async inquire(others: readonly Inquiry[]): Promise<readonly Doing[]> {
    const { doing = 'working' } = await this.#call('inquire');
    return others.map(() => doing);
  }

  /** Cancels something, unless the script says that it was over already (`cancelled: false`). */
  settle(): Promise<boolean> {
    return this.#call('settle').then((behaviour) => behaviour.cancelled !== false);
  }

  async end(): Promise<void> {
    await this.#call('end');
  }

  async destroy(): Promise<void> {
    await this.#call('destroy');
  }

  /** The server or the network ends the session: pending calls fail and the pool is told. */
  kill(error: Error = scriptedError('57P01', 'terminating connection due to administrator command')): void {
    if (!this.alive) return;
    this.gone();
    this.#lost = error;
    for (const fail of this.#pending) fail(error);
    this.#pending.clear();
    this.#tell(error);
  }

  /** The socket is gone, in whatever way. */
  gone(): void {
    if (!this.alive) return;
    this.alive = false;
    this.status = 'lost';
    this.#driver.closed(this);
  }

  #tell(error: Error): void {
    const listener = this.#onLost;
    this.#onLost = undefined;
    listener?.(error);
  }

  #call(call: ScriptedCall): Promise<Behaviour> {
    this.calls.push(call);
    const closes = call === 'end' || call === 'destroy';
    if (!this.alive && !closes) return Promise.reject(this.#lost ?? new Error('the session is closed'));
    return new Promise((resolve, reject) => {
      // Whoever wanted the socket gone has what it wanted, whatever took it.
      const over = closes ? () => resolve({}) : reject;
      this.#pending.add(over);
      this.#driver.play(call, this, (behaviour) => {
        if (!this.#pending.delete(over)) return;
        if (behaviour.fail !== undefined) {
          reject(behaviour.fail);
          return;
        }
        if (closes) {
          // What an end leaves pending fails with the socket.
          this.gone();
          const error = new Error('the connection was ended');
          for (const fail of this.#pending) fail(error);
          this.#pending.clear();
        } else if (this.alive) {
          this.status = behaviour.status ?? AFTERWARDS[call] ?? this.status;
        }
        resolve(behaviour);
      });
    });
  }
}

export class ScriptedDriver implements Driver<ScriptedSession> {
  readonly target = 'scripted:5432';
  /** May be replaced at any time. */
  script: Script;
  /** Sockets that exist now, those of connects in flight included; and the most there ever were. */
  sockets = 0;
  peakSockets = 0;
  /** Every session that was ever opened. */
  readonly sessions: ScriptedSession[] = [];
  readonly #clock: Clock;
  readonly #counts = new Map<ScriptedCall, number>();
  readonly #timers = new Set<Timer>();

  constructor(clock: Clock, script: Script = () => undefined) {
    this.#clock = clock;
    this.script = script;
  }

  /** Sessions whose socket exists. */
  get alive(): ScriptedSession[] {
    return this.sessions.filter((session) => session.alive);
  }

  /** How often a call was made so far. */
  count(call: ScriptedCall): number {
    return this.#counts.get(call) ?? 0;
  }

  open(attempt: OpenAttempt): Promise<ScriptedSession> {
    this.sockets += 1;
    this.peakSockets = Math.max(this.peakSockets, this.sockets);
    return new Promise((resolve, reject) => {
      let settled = false;
      let deaf = false;
      const fail = (error: Error): void => {
        if (settled) return;
        settled = true;
        this.sockets -= 1;
        reject(error);
      };
      attempt.signal.addEventListener('abort', () => {
        if (!deaf) fail(new Error('the connect was given up'));
      });
      const planned = this.play('open', undefined, (behaviour) => {
        if (settled) return;
        if (behaviour.fail !== undefined) {
          fail(behaviour.fail);
          return;
        }
        settled = true;
        const session = new ScriptedSession(this, this.sessions.length + 1);
        if (behaviour.status !== undefined) session.status = behaviour.status;
        this.sessions.push(session);
        resolve(session);
      });
      deaf = planned.deaf === true;
    });
  }

  classify(error: unknown): Fault {
    const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
    if (typeof code !== 'string') return 'transient';
    if (code.startsWith('28') || code === '3D000') return 'permanent';
    return code === '53300' ? 'full' : 'transient';
  }

  /** Looks into the script and calls `done` when the call is over, at once or later; never, if it says so. */
  play(call: ScriptedCall, session: ScriptedSession | undefined, done: (behaviour: Behaviour) => void): Behaviour {
    const count = (this.#counts.get(call) ?? 0) + 1;
    this.#counts.set(call, count);
    const behaviour = this.script(call, session, count) ?? {};
    if (behaviour.never === true) return behaviour;
    if (behaviour.afterMs === undefined || behaviour.afterMs <= 0) {
      Promise.resolve().then(() => done(behaviour));
      return behaviour;
    }
    const timer = this.#clock.timer(behaviour.afterMs, () => {
      this.#timers.delete(timer);
      done(behaviour);
    });
    this.#timers.add(timer);
    return behaviour;
  }

  closed(_session: ScriptedSession): void {
    this.sockets -= 1;
  }
}

/** A driver without a server. Without a script every call succeeds at once; `driver.script` may be replaced at any time. */
export function scriptedDriver(clock: Clock, script?: Script): ScriptedDriver {
  return new ScriptedDriver(clock, script);
}
