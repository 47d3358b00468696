// One pool in its world: an engine on the virtual clock, a driver and hooks that do as the sequence says, borrowers who keep
// what they get. Owns how each command is carried out and what of it the reference is told; judges nothing itself.

import type { Clock, Timer } from '../../src/contracts/clock.ts';
import { noDeadlocks } from '../../src/contracts/deadlocks.ts';
import type { Doing, Inquiry, OpenAttempt } from '../../src/contracts/driver.ts';
import { type EngineEvents, noEvents } from '../../src/contracts/events.ts';
import type { Ledger } from '../../src/contracts/ledger.ts';
import { Engine } from '../../src/core/engine.ts';
import type { Hooks, Ports } from '../../src/core/household.ts';
import { Refusal } from '../../src/core/wait-queue.ts';
import {
  type Behaviour,
  type ScriptedCall,
  ScriptedDriver,
  type ScriptedSession,
  scriptedError,
} from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { type ScriptedLease, SETTINGS } from '../kit/rig.ts';
import { WorldPermits } from './budget.ts';
import type { Call, Command, ConnectMode, How, ReleaseHow, Setup } from './commands.ts';
import { type Ask, kindOf, Reference, type Sight, type Silent } from './reference.ts';

const SLOW_MS = 20;
/** Later than every check and return of these sequences, sooner than a cut socket is written off. */
const LATE_MS = 2_500;
/** On a healthy server everybody who waits is served within this: the longest bounds and back-off, one after the other. */
const HEALED_MS = 40_000;
const STEP_MS = 250;
/** More calls of the driver, and timers, than any command can need: the engine goes round in circles without time passing. */
const LIVELOCK_CALLS = 5_000;
const LIVELOCK_TIMERS = 20_000;
/** The counters are compared after one command in so many, and at the end. */
const COUNTERS_EACH = 5;
/** Nosy observers ask this often at most between two looks. */
const NOSY_ASKS = 3;

interface Flight {
  readonly call: ScriptedCall | 'check';
  readonly session: ScriptedSession;
  readonly since: number;
}

/** Counts the engine's own timers; mutes the one that only holds the process, where asked to. */
class EngineClock implements Clock {
  pending = 0;
  /** Made since the last command. */
  made = 0;
  readonly #inner: VirtualClock;
  readonly #mutes: boolean;

  constructor(inner: VirtualClock, mutes: boolean) {
    this.#inner = inner;
    this.#mutes = mutes;
  }

  now = (): number => this.#inner.now();
  wall = (): number => this.#inner.wall();
  random = (): number => this.#inner.random();
  /** No timer: over within the turn, and so allowed to outlast a close. */
  pollPhase = (then: () => void): void => this.#inner.pollPhase(then);

  timer = (ms: number, fire: () => void, holdsProcess = false): Timer => {
    let pending = true;
    this.pending += 1;
    this.made += 1;
    if (this.made > LIVELOCK_TIMERS) return { cancel: () => {} };
    const over = (): void => {
      if (pending) this.pending -= 1;
      pending = false;
    };
    const inner =
      holdsProcess && this.#mutes
        ? undefined
        : this.#inner.timer(ms, () => {
            over();
            fire();
          });
    return {
      cancel: () => {
        over();
        inner?.cancel();
      },
    };
  };
}

/** A connect through which only a question is asked. */
interface Probe {
  session: ScriptedSession | undefined;
  failed: boolean;
}

interface Told {
  /** Whether it is one of the pool's: then its place in the order of dials; else undefined. */
  opening(): number | undefined;
  born(session: ScriptedSession, order: number): void;
  answered(call: ScriptedCall, session: ScriptedSession): void;
  doing(pid: number): Doing;
  /** A question that was decided upon at that time. */
  asking(others: readonly Inquiry[], at: number): readonly Silent[];
  /** Its answer, `tookMs` later. */
  said(asked: readonly Silent[], tookMs: number): void;
  unsaid(): void;
  unopened(): void;
}

/** The scripted driver, with an eye on what is under way. */
class WatchedDriver extends ScriptedDriver {
  readonly flights = new Set<Flight>();
  readonly #probes = new Set<Probe>();
  readonly #now: () => number;
  readonly #told: Told;

  constructor(clock: Clock, told: Told) {
    super(clock);
    this.#now = clock.now;
    this.#told = told;
  }

  override open(attempt: OpenAttempt): Promise<ScriptedSession> {
    const opened = super.open(attempt);
    const told = this.#told;
    const order = told.opening();
    const begun = order === undefined ? this.#now() : undefined;
    const probe: Probe = { session: undefined, failed: false };
    if (order === undefined) this.#probes.add(probe);
    return opened.then(
      (session) => {
        this.#answers(session, begun);
        if (order !== undefined) told.born(session, order);
        probe.session = session;
        return session;
      },
      (error: unknown) => {
        probe.failed = true;
        if (order === undefined) told.unopened();
        throw error;
      },
    );
  }

  /** Sockets that are no connection of the pool's. */
  get probes(): number {
    let count = 0;
    for (const probe of this.#probes) {
      if (probe.failed || probe.session?.alive === false) this.#probes.delete(probe);
      else count += 1;
    }
    return count;
  }

  isProbe(session: ScriptedSession): boolean {
    for (const probe of this.#probes) if (probe.session === session) return true;
    return false;
  }

  /** The server knows of each session what it does. */
  #answers(session: ScriptedSession, begun: number | undefined): void {
    const told = this.#told;
    const { inquire } = session;
    session.inquire = async (others) => {
      const since = this.#now();
      const asked = told.asking(others, begun ?? since);
      try {
        await inquire.call(session, others);
      } catch (error) {
        told.unsaid();
        throw error;
      }
      const doings = others.map(({ pid }) => told.doing(pid));
      told.said(asked, this.#now() - since);
      return doings;
    };
  }

  override play(
    call: ScriptedCall,
    session: ScriptedSession | undefined,
    done: (behaviour: Behaviour) => void,
  ): Behaviour {
    if (session === undefined) return super.play(call, session, done);
    const flight: Flight = { call, session, since: this.#now() };
    this.flights.add(flight);
    return super.play(call, session, (behaviour) => {
      this.flights.delete(flight);
      if (behaviour.fail === undefined && session.alive) this.#told.answered(call, session);
      done(behaviour);
    });
  }
}

/** A promise of the engine's that must settle in time. */
interface Promised {
  readonly name: string;
  readonly since: number;
  /** How long it may take at the most, or Infinity: then until the pool has closed. */
  readonly withinMs: number;
  settled: boolean;
}

export class World {
  readonly clock: VirtualClock;
  readonly driver: WatchedDriver;
  readonly engine: Engine<ScriptedSession>;
  readonly reference: Reference;
  readonly setup: Setup;
  peakBorrowers = 0;
  readonly #engineClock: EngineClock;
  readonly #permits: WorldPermits | undefined;
  readonly #signals = new Map<AbortSignal, AbortController>();
  readonly #promised: Promised[] = [];
  #server: { mode: ConnectMode; left: number } = { mode: 'ok', left: 0 };
  readonly #replies = new Map<Call, { how: How; left: number }>();
  #nested = false;
  #nosyLeft = 0;
  #calls = 0;
  #looks = 0;
  #writtenOff = 0;
  /** Probes opened so far. */
  #probes = 0;
  #failoversTold = 0;
  #blockedMs = 0;
  readonly #inLedger = new Set<number>();
  readonly #told = { opened: 0, retired: 0, lost: 0, closed: 0 };

  constructor(setup: Setup) {
    this.setup = setup;
    this.clock = new VirtualClock({ seed: setup.seed });
    this.#engineClock = new EngineClock(this.clock, !setup.holds);
    this.reference = new Reference(setup, this.clock.now);
    this.driver = new WatchedDriver(this.clock, {
      opening: () => {
        const { max, size } = this.engine.snapshot();
        const mayProbe = setup.silentAfterMs !== Infinity;
        const isProbe = mayProbe && this.driver.count('open') - this.#probes > this.engine.stats().connects;
        if (isProbe) {
          this.#probes += 1;
          this.reference.happens('asked through a probe');
          if (this.driver.probes > 0 && !setup.faithless) this.reference.complain('a second probe was opened');
          return undefined;
        }
        const allowed = max + this.#writtenOff + this.driver.probes;
        if (this.driver.sockets > allowed || size > max) {
          this.reference.complain(`dialled: ${this.driver.sockets} sockets, ${size} slots, max ${max}`);
        }
        return this.reference.dialling();
      },
      born: (session, order) => {
        // The pool takes its baseline when the session is ready.
        if (setup.watches) session.dirty = true;
        this.reference.dialled(session, order);
        if (!setup.configure && !setup.proves) this.reference.born(session);
      },
      answered: (call, session) => {
        // The user's own check is not done by a ping.
        this.reference.proven(session, call === 'ping' && setup.check !== 'custom');
        if (call === 'restore' || call === 'discard') this.reference.undone(session);
        if (call === 'inquire' && !this.driver.isProbe(session))
          this.reference.happens('asked through one of the pool');
      },
      doing: (pid) => this.reference.doing(pid),
      asking: (others, at) =>
        this.reference.silentAt(
          others.map(({ pid }) => pid),
          at,
        ),
      said: (asked, tookMs) => {
        const inTime = tookMs <= SLOW_MS;
        if (!inTime) this.reference.happens('a question without an answer');
        this.reference.answered(asked, inTime);
      },
      unsaid: () => this.reference.happens('a question without an answer'),
      unopened: () => this.reference.happens('a probe that did not open'),
    });
    this.driver.script = (call) => this.#play(call);
    const scripted = setup.ports === 'scripted';
    this.#permits = scripted
      ? new WorldPermits(setup.permits, this.clock, this.reference, () => this.#waits())
      : undefined;
    if (setup.proves)
      this.#permits?.prove((session) => {
        if (!setup.configure) this.reference.born(session);
      });
    this.engine = new Engine({
      settings: { ...SETTINGS, ...setup },
      clock: this.#engineClock,
      driver: this.driver,
      hooks: this.#hooks(),
      ports: scripted ? this.#ports(this.#permits as WorldPermits) : undefined,
    });
  }

  /** Whether somebody waits whom the pool serves, and who comes before other pools. */
  #waits(): boolean {
    const { phase, waiting } = this.engine.snapshot();
    return waiting > 0 && (phase === 'open' || phase === 'opening');
  }

  // The parts of the world.

  #hooks(): Hooks<ScriptedSession> {
    const { setup } = this;
    const configure = async (session: ScriptedSession): Promise<void> => {
      await this.#hook('configure', session);
      this.reference.born(session);
    };
    const check = async (session: ScriptedSession): Promise<void> => {
      const flight: Flight = { call: 'check', session, since: this.clock.now() };
      this.driver.flights.add(flight);
      try {
        await this.#hook('check', session);
      } finally {
        this.driver.flights.delete(flight);
      }
      this.reference.proven(session, true);
    };
    const reset = async (session: ScriptedSession): Promise<void> => {
      await this.#hook('reset', session);
      this.reference.proven(session, false);
    };
    return {
      ...(setup.configure ? { configure } : {}),
      ...(setup.check === 'custom' ? { check } : {}),
      ...(setup.reset === 'custom' ? { reset } : {}),
    };
  }

  #ports(permits: WorldPermits): Ports {
    const ledger: Ledger = {
      silentUntil: -Infinity,
      asked: () => undefined,
      lent: (record) => void this.#inLedger.add(record.id),
      returned: (record) => {
        if (!this.#inLedger.delete(record.id)) this.reference.complain(`lease ${record.id} left the ledger twice`);
      },
      site: () => 'borrower.ts:1',
      plain: () => ({}),
    };
    return {
      permits,
      ledger,
      tasks: {
        detached: (work) => work(),
        current: () => undefined,
        holdsLease: () => this.#nested,
        matters: () => {},
      },
      deadlocks: noDeadlocks,
      explainer: {
        explain: ({ snapshot, waitedMs }) => {
          if (snapshot.waiting === 2) throw new Error('no verdict today');
          return { verdict: 'exhausted', summary: `waited ${waitedMs} ms`, evidence: {}, advice: [] };
        },
      },
      reporter: {
        report: (report) => {
          if (report.code === 'OXBOW_SOCKET_STUCK') this.#writtenOff += 1;
          if (report.code === 'OXBOW_FAILOVER') this.#failoversTold += 1;
        },
      },
      events: this.#events(),
    };
  }

  #events(): EngineEvents {
    const told = this.#told;
    const events: EngineEvents = {
      ...noEvents,
      opened: () => {
        told.opened += 1;
      },
      retired: () => {
        told.retired += 1;
      },
      lost: () => {
        told.lost += 1;
      },
      closed: () => {
        told.closed += 1;
      },
    };
    const { nosy } = this.setup;
    if (nosy === undefined) return events;
    const tell = events[nosy] as (...args: unknown[]) => void;
    const asking = (...args: unknown[]): void => {
      tell(...args);
      if (this.#nosyLeft === 0) return;
      this.#nosyLeft -= 1;
      this.#ask(200, undefined, 5, { nosy: true });
    };
    return { ...events, [nosy]: asking };
  }

  /** How the next connect or call goes. */
  #play(call: ScriptedCall): Behaviour | undefined {
    this.#calls += 1;
    if (this.#calls === LIVELOCK_CALLS) this.reference.complain(`${LIVELOCK_CALLS} calls in one command: a livelock`);
    if (this.#calls >= LIVELOCK_CALLS) return { never: true };
    if (call !== 'open') return this.#behaviour(call);
    const server = this.#server;
    if (server.left <= 0) return undefined;
    server.left -= 1;
    switch (server.mode) {
      case 'ok':
        return undefined;
      case 'slow':
        return { afterMs: 30 };
      case 'slower':
        return { afterMs: 250 };
      case 'refuse':
        return { afterMs: 2, fail: scriptedError('ECONNREFUSED') };
      case 'permanent':
        return { afterMs: 2, fail: scriptedError('28P01') };
      case 'full':
        return { afterMs: 2, fail: scriptedError('53300') };
      case 'never':
        return { never: true };
      case 'deaf':
        return this.setup.faithless ? { deaf: true, afterMs: 9_000 } : { never: true };
    }
  }

  #next(call: Call): How | undefined {
    const reply = this.#replies.get(call);
    if (reply === undefined || reply.left === 0) return undefined;
    reply.left -= 1;
    const wrong = reply.how !== 'slow' && reply.how !== 'over';
    if (call === 'restore' && wrong) this.reference.happens('a restore that went wrong');
    return reply.how;
  }

  #behaviour(call: Exclude<ScriptedCall, 'open'>): Behaviour | undefined {
    switch (this.#next(call)) {
      case undefined:
        return undefined;
      case 'slow':
        return { afterMs: SLOW_MS };
      case 'late':
        return { afterMs: LATE_MS };
      case 'never':
        return call === 'destroy' && !this.setup.faithless ? { afterMs: LATE_MS } : { never: true };
      case 'fail':
        return call === 'destroy' && !this.setup.faithless ? undefined : { fail: new Error(`${call} failed`) };
      case 'dirty':
        return call === 'end' || call === 'destroy' || call === 'ping' ? undefined : { status: 'transaction' };
      case 'over':
        return { cancelled: false };
    }
  }

  /** A hook of the user's. */
  async #hook(call: Call, session: ScriptedSession): Promise<void> {
    switch (this.#next(call)) {
      case 'slow':
        return this.#pass(SLOW_MS);
      case 'late':
        return this.#pass(LATE_MS);
      case 'never':
        return new Promise(() => {});
      case 'fail':
        throw new Error(`${call} refused`);
      case 'dirty':
        session.status = 'transaction';
    }
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.timer(ms, resolve);
    });
  }

  // Borrowers.

  #ask(
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
    holdMs: number | undefined,
    { nosy = false, stands = false }: { nosy?: boolean; stands?: boolean | undefined } = {},
  ): void {
    const { reference } = this;
    const ask = reference.asked(timeoutMs ?? this.setup.acquireTimeoutMs, signal, holdMs, nosy);
    if (stands && timeoutMs === undefined && signal === undefined && this.#stand(ask)) return;
    this.engine.acquire({ acquireTimeoutMs: timeoutMs, signal, label: `borrower ${ask.id}` }).then(
      (lease) => this.#receive(ask, lease),
      (error: unknown) => reference.turnedAway(ask, error),
    );
  }

  /** As a query does. False if it cannot simply wait now. */
  #stand(ask: Ask): boolean {
    const { engine, reference } = this;
    const lease = engine.takeAtOnce();
    if (lease !== undefined) {
      this.#receive(ask, lease, true);
      return true;
    }
    let told = 0;
    const settle = (outcome: ScriptedLease | Refusal): void => {
      told += 1;
      if (told > 1) reference.complain(`borrower ${ask.id} was told ${told} times`);
      if (outcome instanceof Refusal) {
        reference.happens('stood, and was refused');
        reference.turnedAway(ask, outcome.error);
      } else {
        reference.happens('stood, and was handed a connection');
        this.#receive(ask, outcome, true);
      }
    };
    return engine.stand({ settle });
  }

  #receive(ask: Ask, lease: ScriptedLease, standing = false): void {
    this.reference.served(ask, lease, standing);
    this.#inspect(lease);
    const giveBack = (): void => {
      if (!lease.released) this.#release(lease, 'clean');
    };
    // No query is answered in the turn in which it is sent.
    if (ask.holdMs === 0 && standing) queueMicrotask(giveBack);
    else if (ask.holdMs === 0) giveBack();
    else if (ask.holdMs !== undefined) {
      this.clock.timer(ask.holdMs, giveBack);
    }
  }

  #inspect(lease: ScriptedLease): void {
    for (const flight of this.driver.flights) {
      if (flight.session === lease.session) {
        this.reference.complain(`session ${lease.session.pid} was lent with a ${flight.call} unanswered`);
      }
    }
    if (this.#permits?.proven(lease.session) === false)
      this.reference.complain(`session ${lease.session.pid} was lent without a proof of its permit`);
  }

  #release(lease: ScriptedLease, how: ReleaseHow): void {
    const { reference } = this;
    const { session } = lease;
    const condemns = how === 'keep' || how === 'suspect' || how === 'replace';
    const good = session.status !== 'lost' && lease.fault === undefined;
    if (good) {
      session.traffic += 1;
      if (how === 'clean') session.status = 'idle';
      if (how === 'transaction' || how === 'failed' || how === 'busy') session.status = how;
      if (condemns) {
        session.status = 'condemned';
        session.condemned = { why: 'the server is no longer what it was', others: how };
      }
    }
    const tracked = this.setup.reset === 'tracked' && good && how === 'clean';
    const { dirty } = session;
    reference.gaveBack(lease);
    // Before: what is dialled in the turn of the return is of the new server already.
    if (condemns && good) reference.condemned(session, how);
    lease.release(how === 'error' ? new Error('spoiled') : how === 'true');
    if (tracked) {
      reference.happens(dirty === undefined ? 'tracked: unknown' : dirty ? 'tracked: dirty' : 'tracked: clean');
      if (dirty === false) this.#inspectClean(session);
    }
    this.#promise('whenReturned', Infinity, lease.whenReturned());
  }

  /** What is clean goes back without a word. */
  #inspectClean(session: ScriptedSession): void {
    for (const { call, session: other } of this.driver.flights) {
      if (other === session && (call === 'restore' || call === 'discard' || call === 'rollback'))
        this.reference.complain(`session ${session.pid} came back clean and was sent a ${call}`);
    }
  }

  /** It must be refused, and nobody else may notice. */
  #releaseAgain(lease: ScriptedLease): void {
    const before = this.engine.snapshot();
    try {
      lease.release();
      this.reference.complain(`lease ${lease.id} was released twice`);
    } catch (error) {
      if (kindOf(error) !== 'LEASE_RELEASED') this.reference.complain(`released twice: ${String(error)}`);
    }
    const after = this.engine.snapshot();
    if (before.lent !== after.lent || before.idle !== after.idle)
      this.reference.complain('a stale release moved a slot');
  }

  #signal(): AbortSignal {
    const controller = new AbortController();
    this.#signals.set(controller.signal, controller);
    return controller.signal;
  }

  #promise(name: string, withinMs: number, promise: Promise<unknown>, onDone?: () => void): void {
    const promised: Promised = { name, since: this.clock.now(), withinMs, settled: false };
    this.#promised.push(promised);
    promise.then(
      () => {
        promised.settled = true;
        onDone?.();
      },
      (error: unknown) => {
        promised.settled = true;
        if (name === 'open' || name === 'ready') this.reference.openFailures.add(error);
        else if (kindOf(error) !== 'POOL_CLOSED') this.reference.complain(`${name}() rejected: ${String(error)}`);
      },
    );
  }

  // Commands.

  async perform(command: Command): Promise<void> {
    this.#nosyLeft = NOSY_ASKS;
    this.#calls = 0;
    this.#engineClock.made = 0;
    this.#do(command);
    await (command.do === 'advance' ? this.clock.advance(command.ms) : this.clock.settle());
    this.audit();
  }

  #do(command: Command): void {
    const { clock, driver, engine, reference } = this;
    switch (command.do) {
      case 'acquire': {
        const signal = command.signal ? this.#signal() : undefined;
        const { count, holdMs, stands, timeoutMs } = command;
        for (let n = 0; n < count; n += 1) this.#ask(timeoutMs, signal, holdMs, { stands });
        return;
      }
      case 'tryAcquire': {
        const lease = engine.tryAcquire();
        if (lease === undefined) return;
        reference.tried(lease);
        this.#inspect(lease);
        return;
      }
      case 'release': {
        const lease = pick([...reference.held.values()], command.which);
        if (lease !== undefined) this.#release(lease, command.how);
        return;
      }
      case 'releaseAgain': {
        const lease = pick(reference.ended, command.which);
        if (lease !== undefined) this.#releaseAgain(lease);
        return;
      }
      case 'work': {
        const lease = pick([...reference.held.values()], command.which);
        if (lease === undefined || lease.session.status === 'lost') return;
        lease.session.traffic += 1;
        lease.session.status = command.status;
        reference.spoke(lease);
        return;
      }
      case 'dirty': {
        const lease = pick([...reference.held.values()], command.which);
        if (lease !== undefined && this.setup.watches) lease.session.dirty = true;
        return;
      }
      case 'silent': {
        const lease = pick([...reference.held.values()], command.which);
        if (lease === undefined || lease.session.status === 'lost') return;
        lease.session.traffic += 1;
        lease.session.status = 'busy';
        reference.silenced(lease, command.doing);
        return;
      }
      case 'abort': {
        const waiting = reference.queue.filter((ask) => ask.signal !== undefined);
        const signal = pick(waiting, command.which)?.signal;
        if (signal !== undefined) this.#signals.get(signal)?.abort(new Error('changed my mind'));
        return;
      }
      case 'kill': {
        const session = pick(driver.alive, command.which);
        if (session === undefined) return;
        session.kill();
        reference.killed(session);
        return;
      }
      case 'server':
        this.#server = { mode: command.mode, left: command.times };
        return;
      case 'replies':
        this.#replies.set(command.call, { how: command.how, left: command.times });
        return;
      case 'advance':
        return;
      case 'block':
        clock.block(command.ms);
        reference.blocked(command.ms);
        this.#blockedMs += command.ms;
        return;
      case 'sleep':
        clock.sleep(command.ms);
        return;
      case 'resize':
        reference.resized(command.min, command.max);
        engine.resize(command.min, command.max);
        return;
      case 'replaceAll':
        this.#replaceAll(command.overMs);
        return;
      case 'pause':
        this.#pause(command.borrowers);
        return;
      case 'resume':
        reference.resumed();
        engine.resume();
        return;
      case 'trim':
        this.#promise('trim', Infinity, engine.trim(command.to));
        return;
      case 'check':
        this.#promise('check', Infinity, engine.check(Infinity));
        return;
      case 'open': {
        const { wait, timeoutMs } = command;
        const signal = command.signal ? this.#signal() : undefined;
        this.#promise('open', timeoutMs ?? this.setup.acquireTimeoutMs, engine.open({ wait, timeoutMs, signal }));
        return;
      }
      case 'ready':
        this.#promise(
          'ready',
          command.timeoutMs ?? this.setup.acquireTimeoutMs,
          engine.ready({ timeoutMs: command.timeoutMs }),
        );
        return;
      case 'permits':
        this.#permits?.become(command);
        return;
      case 'proofs':
        this.#permits?.expect(command.how, command.times);
        return;
      case 'nested':
        this.#nested = command.on;
        return;
      case 'close':
        this.#close(command);
    }
  }

  #replaceAll(overMs: number): void {
    const old = this.driver.alive.filter((session) => !this.driver.isProbe(session));
    this.reference.replaced(overMs);
    this.#promise('replaceAll', Infinity, this.engine.replaceAll(overMs), () => {
      if (!this.setup.faithless && old.some((session) => session.alive)) {
        this.reference.complain('replaceAll() resolved while an old session was alive');
      }
    });
  }

  #pause(borrowers: 'wait' | 'reject'): void {
    const { engine, reference } = this;
    const paused = engine.pause(borrowers);
    if (engine.phase === 'paused') reference.paused(borrowers);
    this.#promise('pause', Infinity, paused, () => {
      const { phase, lent } = engine.snapshot();
      if (phase === 'paused' && lent > 0) reference.complain(`pause() resolved while ${lent} were lent`);
    });
  }

  #close(closure: { drainMs: number; cancelMs: number; waiting: 'reject' | 'serve' }): void {
    const { drainMs, cancelMs } = closure;
    this.reference.closing(this.clock.now() + drainMs + cancelMs);
    const boundMs = drainMs + cancelMs + this.setup.returnTimeoutMs + 7_000 + (this.setup.faithless ? 10_000 : 0);
    this.#promise('close', boundMs, this.engine.close(closure), () => this.#nothingLeft());
  }

  // Looking.

  audit(): void {
    const { clock, driver, engine, reference } = this;
    const now = clock.now();
    const s = engine.snapshot();
    const sight: Sight = {
      now,
      phase: s.phase,
      size: s.size,
      parts: [s.opening, s.idle, s.lent, s.returning, s.closing],
      idle: s.idle,
      lent: s.lent,
      waiting: s.waiting,
      sockets: driver.sockets,
      writtenOff: this.#writtenOff,
      probes: driver.probes,
      min: s.min,
      max: s.max,
      holders: engine.holders().map((holder) => holder.id),
      checksUnderWay: this.#checksUnderWay(now),
    };
    reference.audit(sight);
    if (this.#engineClock.made > LIVELOCK_TIMERS)
      reference.complain(`${LIVELOCK_TIMERS} timers in one command: a livelock`);
    this.peakBorrowers = Math.max(this.peakBorrowers, reference.borrowers);
    if (this.#permits !== undefined && this.#permits.taken !== s.size) {
      reference.complain(`${this.#permits.taken} permits are taken for ${s.size} slots`);
    }
    if (this.#permits !== undefined && this.#inLedger.size !== s.lent) {
      reference.complain(`${this.#inLedger.size} leases in the ledger, ${s.lent} lent`);
    }
    for (const promised of this.#promised) {
      if (!promised.settled && now > promised.since + promised.withinMs + 2 * this.#blockedMs + 1) {
        reference.complain(`${promised.name}() has not settled within ${promised.withinMs} ms`);
      }
    }
    this.#looks += 1;
    if (this.#looks % COUNTERS_EACH === 0 || engine.phase === 'closed') this.#compareCounters();
  }

  /** Late ones do not count: the borrower is owed another connection. */
  #checksUnderWay(now: number): number {
    let count = 0;
    for (const { call, session, since } of this.driver.flights) {
      if ((call === 'ping' || call === 'check') && session.alive && now - since <= LATE_MS) count += 1;
    }
    return count;
  }

  #compareCounters(): void {
    const { driver, engine, reference } = this;
    const stats = engine.stats();
    const expect = (name: string, got: number, wanted: number): void => {
      if (got !== wanted) reference.complain(`${name}: ${got} counted, ${wanted} seen`);
    };
    let failed = 0;
    for (const [reason, count] of reference.refused) {
      failed += count;
      expect(`refused for ${reason}`, stats.requestsFailed[reason] ?? 0, count);
    }
    const known = Object.values(stats.requestsFailed).reduce((sum, count) => sum + count, 0);
    expect('refused for any reason', known, failed);
    expect('requests', stats.requests, reference.requests);
    expect('requests = served + failed + waiting', stats.requests, reference.granted + failed + stats.waiting);
    expect('served', stats.waitMs.count, reference.granted);
    expect('returns', stats.returns, reference.returns);
    expect('connects', stats.connects, driver.count('open') - this.#probes);
    const opened = stats.connectMs.count;
    const retired = Object.values(stats.retired).reduce((sum, count) => sum + count, 0);
    const open = stats.idle + stats.lent + stats.returning;
    expect('opened = retired + lost + open', opened, retired + stats.connectionsLost + open);
    if (this.#permits === undefined) return;
    expect('opened', opened, this.#told.opened);
    expect('retired', retired, this.#told.retired);
    expect('lost', stats.connectionsLost, this.#told.lost);
    expect('closed', this.#told.closed, stats.connects - stats.size);
    // What an observer dials while it hears of the return is of neither.
    if (this.setup.nosy === undefined) expect('failovers', this.#failoversTold, reference.failovers);
  }

  // The end.

  /** Everything is well again and nothing more is asked for: whoever waits must be served, and then the pool closed. */
  async finish(): Promise<void> {
    const { clock, engine, reference } = this;
    this.#server = { mode: 'ok', left: 0 };
    this.#replies.clear();
    this.#nested = false;
    this.#nosyLeft = 0;
    this.#permits?.heal();
    reference.resumed();
    engine.resume();
    const owed = reference.queue.filter((ask) => ask.timeoutMs === Infinity);
    const closes = engine.phase === 'closing' || engine.phase === 'closed';
    await this.#calm(() => reference.borrowers === 0, HEALED_MS);
    if (reference.queue.length > 0) reference.complain('somebody starves on a healthy server');
    for (const ask of owed) {
      const known = closes || this.reference.openFailures.has(ask.error) || kindOf(ask.error) === 'POOL_CONNECT_FAILED';
      if (ask.state !== 'granted' && !known) reference.complain(`borrower ${ask.id} got nothing: ${String(ask.error)}`);
    }
    const closing = { drainMs: 0, cancelMs: 0, waiting: 'reject' as const };
    this.#close(closing);
    await this.#calm(() => engine.phase === 'closed', HEALED_MS);
    for (const signal of this.#signals.values()) signal.abort();
    await clock.settle();
    this.#ask(undefined, undefined, undefined);
    await clock.settle();
    this.audit();
    if (engine.tryAcquire() !== undefined) reference.complain('a closed pool lent');
    for (const lease of reference.ended) this.#releaseAgain(lease);
    for (const { name, settled } of this.#promised) {
      if (!settled) reference.complain(`${name}() never settled`);
    }
    this.#nothingLeft();
    if (!this.setup.faithless) return;
    // A probe may come when nobody waits for it any more.
    await clock.advance(20_000);
    for (const session of this.driver.alive) {
      if (this.driver.isProbe(session) && !session.calls.includes('destroy'))
        reference.complain('a probe was forgotten');
    }
  }

  async #calm(until: () => boolean, withinMs: number): Promise<void> {
    const { clock, reference } = this;
    for (let ms = 0; ms <= withinMs; ms += STEP_MS) {
      for (const lease of [...reference.held.values()]) this.#release(lease, 'clean');
      this.#calls = 0;
      this.#engineClock.made = 0;
      await clock.settle();
      this.audit();
      if (until() || reference.complaints.length > 0) return;
      await clock.advance(STEP_MS);
      this.audit();
    }
  }

  #nothingLeft(): void {
    const { driver, engine, reference } = this;
    const { size, phase, waiting } = engine.snapshot();
    const expect = (name: string, got: number, most: number): void => {
      if (got > most) reference.complain(`${got} ${name} left after close`);
    };
    if (phase !== 'closed') reference.complain(`close() resolved in phase ${phase}`);
    expect('slots', size, 0);
    expect('waiters', waiting, 0);
    expect('probes', this.setup.faithless ? 0 : driver.probes, 0);
    expect('sockets', driver.sockets, this.#writtenOff + driver.probes);
    expect('timers', this.#engineClock.pending, 0);
    expect('permits', this.#permits?.taken ?? 0, 0);
    expect('sessions that prove their permits', this.#permits?.seeking ?? 0, 0);
    expect('permits taken too late', this.#permits?.takenTooLate ?? 0, 0);
    if (this.#permits !== undefined && this.#permits.left !== 1)
      reference.complain(`the pool took its leave of the budget ${this.#permits.left} times`);
  }
}

function pick<T>(list: readonly T[], which: number): T | undefined {
  return list.length === 0 ? undefined : list[which % list.length];
}
