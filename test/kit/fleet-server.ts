// A PostgreSQL as a fleet sees it, in memory and on any clock: advisory locks, LISTEN and NOTIFY, sessions that end. Answers the texts of
// fleet-sql and no others. Knows nothing of permits; who may have what is only ever looked at from outside.

import type { Clock } from '../../src/contracts/clock.ts';
import type { Bond, Driver, Fault, OpenAttempt, Session, SessionStatus } from '../../src/contracts/driver.ts';

export type Statement = 'first' | 'another' | 'seek' | 'found' | 'again' | 'notify' | 'census';

/** The way between one process and the server. */
export interface Line {
  readonly clock: Clock;
  /** One way, in milliseconds. */
  readonly latencyMs: () => number;
  /** Whether a notification is lost on the way. */
  readonly loses: () => boolean;
  /** What arrives at the process; it may be asleep. */
  readonly deliver: (fn: () => void) => void;
}

interface Notified {
  readonly at: number;
  readonly payload: string;
}

type Row = (string | null)[];

const MEMBER = 2 ** 30;

export class FleetServer {
  readonly clock: Clock;
  readonly sessions = new Set<FleetSession>();
  /** How often each was asked. */
  readonly asked: Record<Statement, number> = {
    first: 0,
    another: 0,
    seek: 0,
    found: 0,
    again: 0,
    notify: 0,
    census: 0,
  };
  readonly notified: Notified[] = [];
  /** Notifications that were sent to somebody. */
  delivered = 0;
  /** Permits that were ever taken at the same time, and sessions that were ever there. */
  mostGranted = 0;
  mostSessions = 0;
  /** The next session is never answered, as if the network swallowed what it says. */
  muteNext = false;
  /** The next sessions are another one's on the server than their keys say. */
  pooled = false;
  /** It follows another server, and takes no words. */
  standby = false;
  #pid = 100;
  readonly #alone = new Map<string, FleetSession>();
  readonly #shared = new Map<string, Map<FleetSession, number>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The permits taken now. */
  granted = 0;
  /** Told of each permit that is taken, by its number. */
  onTaken: ((slot: number) => void) | undefined = undefined;

  get seekers(): number {
    let count = 0;
    for (const key of this.#alone.keys()) if (numberOf(key) < 0) count += 1;
    return count;
  }

  /** How many permits this session has. */
  permitsOf(session: FleetSession): number {
    return session.slots.size;
  }

  /** The number of the member that this session, which has a permit, belongs to. */
  memberOf(session: FleetSession): number {
    for (const [key, owners] of this.#shared) if (owners.has(session)) return numberOf(key) - MEMBER;
    throw new Error('it has no permit');
  }

  driver(line: Line): Driver<FleetSession> {
    const open = ({ signal }: OpenAttempt): Promise<FleetSession> =>
      new Promise((resolve, reject) => {
        this.clock.timer(2 * line.latencyMs(), () => {
          if (signal.aborted) return line.deliver(() => reject(new Error('nobody wants it any more')));
          this.#pid += 1;
          const session = new FleetSession(this, line, this.#pid, this.pooled ? this.#pid + 1_000 : this.#pid);
          session.mute = this.muteNext;
          this.muteNext = false;
          this.sessions.add(session);
          this.mostSessions = Math.max(this.mostSessions, this.sessions.size);
          line.deliver(() => resolve(session));
        });
      });
    return { open, classify: (): Fault => 'transient' };
  }

  /** All sessions end, and with them all locks. */
  restart(): void {
    for (const session of [...this.sessions]) session.kill();
  }

  ended(session: FleetSession): void {
    this.sessions.delete(session);
    this.forget(session);
  }

  /** What DISCARD ALL does. */
  forget(session: FleetSession): void {
    session.channel = undefined;
    for (const [key, owner] of this.#alone) if (owner === session) this.#alone.delete(key);
    this.granted -= session.slots.size;
    session.slots.clear();
    for (const owners of this.#shared.values()) owners.delete(session);
  }

  run(session: FleetSession, text: string): Row[] {
    const pid = /pg_backend_pid\(\) = (\d+)/.exec(text)?.[1];
    if (pid !== undefined && Number(pid) !== session.backend)
      throw Object.assign(new Error('division by zero'), { code: '22012', severity: 'ERROR' });
    const channel = /LISTEN "([^"]+)"/.exec(text)?.[1];
    if (channel !== undefined && this.standby)
      throw Object.assign(new Error('cannot execute LISTEN during recovery'), { code: '25006', severity: 'ERROR' });
    if (channel !== undefined) session.channel = channel;
    const notice = /pg_notify\('([^']+)', '([^']+)'\)/.exec(text);
    if (notice !== null) return this.#notify(notice[1] ?? '', notice[2] ?? '');
    const member = /pg_try_advisory_lock_shared\((-?\d+), (\d+)\)/.exec(text);
    const series = /pg_try_advisory_lock\((-?\d+), \(g\.n \+ (\d+)\) % (\d+)\)/.exec(text);
    if (series !== null) {
      this.asked[channel === undefined ? 'another' : 'first'] += 1;
      const [lockClass, start, limit] = series.slice(1).map(Number) as [number, number, number];
      let slot: number | undefined;
      for (let n = 0; n < limit && slot === undefined; n += 1) {
        const candidate = (n + start) % limit;
        if (this.#take(session, `${lockClass}:${candidate}`)) slot = candidate;
      }
      if (slot !== undefined) this.#share(session, `${lockClass}:${member?.[2]}`);
      return [[slot === undefined ? null : String(slot), slot === undefined ? null : 't']];
    }
    const unlock = /pg_advisory_unlock\((-?\d+), (-?\d+)\)/.exec(text);
    if (unlock !== null) {
      this.asked.found += 1;
      return [[this.#alone.delete(`${unlock[1]}:${unlock[2]}`) ? 't' : 'f']];
    }
    const one = /pg_try_advisory_lock\((-?\d+), (-?\d+)\)/.exec(text);
    if (one !== null) {
      this.asked[member === null ? 'seek' : 'again'] += 1;
      const had = this.#take(session, `${one[1]}:${one[2]}`) ? 't' : 'f';
      if (member === null) return [[had]];
      this.#share(session, `${member[1]}:${member[2]}`);
      return [[had, 't']];
    }
    if (text.includes('pg_locks')) return this.#census();
    throw new Error(`the scripted server does not know: ${text}`);
  }

  #take(session: FleetSession, key: string): boolean {
    const owner = this.#alone.get(key);
    if (owner === undefined) {
      this.#alone.set(key, session);
      if (isSlot(key)) {
        this.granted += 1;
        this.mostGranted = Math.max(this.mostGranted, this.granted);
        session.slots.add(numberOf(key));
        this.onTaken?.(numberOf(key));
      }
    }
    return owner === undefined || owner === session;
  }

  #share(session: FleetSession, key: string): void {
    const owners = this.#shared.get(key) ?? new Map<FleetSession, number>();
    owners.set(session, 1);
    this.#shared.set(key, owners);
  }

  #notify(channel: string, payload: string): Row[] {
    this.asked.notify += 1;
    this.notified.push({ at: this.clock.now(), payload });
    for (const session of this.sessions) {
      if (session.channel !== channel) continue;
      this.delivered += 1;
      session.tell(payload);
    }
    return [['']];
  }

  #census(): Row[] {
    this.asked.census += 1;
    const rows: Row[] = [];
    for (const key of this.#alone.keys()) {
      if (isSlot(key)) continue;
      else rows.push([String(-1 - numberOf(key)), '0', '1']);
    }
    for (const [key, owners] of this.#shared) {
      let held = 0;
      for (const owner of owners.keys()) held += owner.slots.size;
      if (held > 0) rows.push([String(numberOf(key) - MEMBER), String(held), '0']);
    }
    return rows;
  }
}

function numberOf(key: string): number {
  return Number(key.slice(key.indexOf(':') + 1));
}

function isSlot(key: string): boolean {
  const n = numberOf(key);
  return n >= 0 && n < MEMBER;
}

export class FleetSession implements Session, Bond {
  status: SessionStatus = 'idle';
  /** As the pool knows it. */
  readonly pid: number | undefined;
  readonly keyPid: number;
  readonly backend: number;
  /** The permits it has. */
  readonly slots = new Set<number>();
  channel: string | undefined;
  farewell: (() => string | undefined) | undefined = undefined;
  renew: (() => Promise<void>) | undefined = undefined;
  fenced = 0;
  /** It does not answer any more, as if the network had swallowed it. */
  mute = false;
  /** In a transaction, where a session is told nothing: what it would have heard comes afterwards. */
  #deaf: string[] | undefined;
  readonly #server: FleetServer;
  /** Whose it is. */
  readonly line: Line;
  readonly #failing = new Set<(error: Error) => void>();
  #onLost: ((error: Error) => void) | undefined;
  #hear: ((payload: string) => void) | undefined;
  #gone = false;

  constructor(server: FleetServer, line: Line, pid: number, backend: number) {
    this.#server = server;
    this.line = line;
    this.pid = undefined;
    this.keyPid = pid;
    this.backend = backend;
  }

  get bond(): Bond {
    return this;
  }

  ask(text: string): Promise<readonly (readonly (string | null)[])[]> {
    return this.#trip(() => this.#server.run(this, text));
  }

  async fence(): Promise<void> {
    this.fenced += 1;
    await this.#trip(() => undefined);
  }

  hear(channel: string, listener: (payload: string) => void): void {
    this.#hear = (payload) => {
      if (this.channel === channel) listener(payload);
    };
  }

  begin(): void {
    this.#deaf = [];
  }

  commit(): void {
    const missed = this.#deaf ?? [];
    this.#deaf = undefined;
    for (const payload of missed) this.tell(payload);
  }

  tell(payload: string): void {
    if (this.#deaf !== undefined) {
      this.#deaf.push(payload);
      return;
    }
    if (this.line.loses()) return;
    this.#server.clock.timer(this.line.latencyMs(), () => this.line.deliver(() => this.#gone || this.#hear?.(payload)));
  }

  onLost(listener: (error: Error) => void): void {
    this.#onLost = listener;
  }

  async ping(): Promise<void> {
    await this.#trip(() => undefined);
  }

  async rollback(): Promise<void> {
    await this.ping();
  }

  async discard(): Promise<void> {
    await this.#trip(() => this.#server.forget(this));
    await this.renew?.();
  }

  settle(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async end(): Promise<void> {
    const text = this.farewell?.();
    if (text !== undefined) await this.ask(text).catch(() => {});
    await this.destroy();
  }

  async destroy(): Promise<void> {
    if (this.#gone) return;
    this.status = 'lost';
    await new Promise<void>((resolve) => {
      this.#server.clock.timer(this.line.latencyMs(), () => {
        this.#end(new Error('destroyed'));
        this.line.deliver(resolve);
      });
    });
  }

  /** The server ends it, or its process dies: then nobody is told. */
  kill(told = true): void {
    if (this.#gone) return;
    this.status = 'lost';
    const error = Object.assign(new Error('terminating connection'), { code: '57P01' });
    this.#end(error);
    if (told) this.line.deliver(() => this.#onLost?.(error));
  }

  #end(error: Error): void {
    this.#gone = true;
    this.#server.ended(this);
    for (const fail of this.#failing) this.line.deliver(() => fail(error));
    this.#failing.clear();
  }

  /** There and back. */
  #trip<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(new Error('the session has ended'));
      this.#failing.add(reject);
      this.#server.clock.timer(this.line.latencyMs(), () => {
        if (this.#gone || this.mute) return;
        let done: T;
        try {
          done = work();
        } catch (error) {
          reject(error);
          return;
        }
        this.#server.clock.timer(this.line.latencyMs(), () => {
          this.#failing.delete(reject);
          if (!this.#gone) this.line.deliver(() => resolve(done));
        });
      });
    });
  }
}
