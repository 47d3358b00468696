// One case, played: an engine led into a step, the step's behaviour, the disturbance, and what must hold then. Owns the order
// of a case and the invariants of the pool; those of a single borrower are in `borrowers`, the ways into a step in `scenes`.

import type { Timer } from '../../src/contracts/clock.ts';
import { ConnectError } from '../../src/contracts/errors.ts';
import { noEvents } from '../../src/contracts/events.ts';
import { silentReporter } from '../../src/contracts/reporter.ts';
import type { CloseReport, PoolStats } from '../../src/contracts/snapshot.ts';
import type { Closure } from '../../src/core/closing.ts';
import type { Hooks, Ports, Settings } from '../../src/core/household.ts';
import type { StepName } from '../../src/core/steps.ts';
import {
  type Behaviour,
  type ScriptedCall,
  type ScriptedSession,
  scriptedError,
} from '../../src/testing/scripted-driver.ts';
import { EventLog, ReportLog } from '../kit/ports.ts';
import { Rig, type ScriptedLease, type Watched, watch } from '../kit/rig.ts';
import type { Case } from './axes.ts';
import { type Borrower, Borrowers } from './borrowers.ts';
import { CoarseHolds } from './coarse-holds.ts';
import { disturb } from './disturb.ts';
import { type Seen, type Watcher, watchSteps } from './probe.ts';
import type { Scene } from './scenes.ts';
import { CheckedLedger, CheckedPermits, type Complain, FickleExplainer, KnownTasks } from './scripted-ports.ts';

/** What a step without a bound of its own is timed by. */
const NOMINAL_MS = 1_000;
/** A goodbye, a cut, a connect and a blocked loop in the middle of them fit: one peer holds up nobody for longer. */
const DEADLINE_MS = 12_000;
/** Where each of them misbehaves. */
const LONG_DEADLINE_MS = 20_000;
/** A session that seeks to prove its permit looks so often whether it is wanted still. */
const LOOK_MS = 250;
/** For how long the others' connections are out. */
const COMPANY_MS = 3_000;
/** What comes at most after a close's own times: a goodbye and a cut. */
const AFTER_CUT_MS = 6_000;
const LONGEST_CASE_MS = 60_000;
/** Far more steps than any case needs in one instant. */
const STORM = 200;

const SETTINGS: Partial<Settings> = {
  connectTimeoutMs: 400,
  returnTimeoutMs: 300,
  checkTimeoutMs: 200,
  idleTimeoutMs: Infinity,
};

const FINAL: Closure = { drainMs: 500, cancelMs: 300, waiting: 'reject' };

/** When the step under test begins after the first of two borrowers has asked (before it, if negative), and its bound. */
export interface Timing {
  readonly leadMs: number;
  readonly boundMs: number;
}

export interface Played {
  readonly violations: string[];
  readonly timing: Timing;
}

export class Stage implements Watcher {
  readonly it: Case;
  readonly step: StepName;
  readonly rig: Rig;
  readonly violations: string[] = [];
  readonly borrowers: Borrowers;
  /** Of the first of the two who queue. */
  readonly aborter: AbortController = new AbortController();
  /** Promises of verbs, each of which must settle by the end. */
  readonly promised: Map<string, Watched<unknown>> = new Map();
  closed: { readonly by: number; readonly watched: Watched<CloseReport> } | undefined;
  /** The session that the step under test works on, where there is one. */
  subject: ScriptedSession | undefined;
  readonly #scene: Scene;
  readonly #timing: Timing;
  readonly #events = new EventLog();
  readonly #reports = new ReportLog();
  readonly #ledger: CheckedLedger;
  readonly #tasks = new KnownTasks();
  readonly #permits: CheckedPermits;
  readonly #clocks: { holds: CoarseHolds | undefined } = { holds: undefined };
  readonly #answers = new Map<ScriptedSession, number>();
  /** Connections taken before the step under test, and those of them that somebody still held when it began. */
  #setUp = 0;
  #lentOut = 0;
  #instant = { at: 0, steps: 0 };
  #armed = false;
  #opens = 0;
  #acted = 0;
  #begunAt: number | undefined;
  #hits = 0;
  #inWork = false;
  #boundMs = 0;
  #running = 0;
  /** Sockets that the driver was scripted never to give up, and slots written off because of it. */
  #kept = 0;
  #writtenOff = 0;
  /** Sessions opened outside the pool's own, to ask through; one at a time. */
  #probes = 0;
  #limit: number;
  #peakLimit: number;

  constructor(it: Case, step: StepName, scene: Scene, timing: Timing) {
    this.it = it;
    this.step = step;
    this.#scene = scene;
    this.#timing = timing;
    const complain = this.complain;
    this.#ledger = new CheckedLedger(complain);
    this.#permits = new CheckedPermits(complain);
    const max = it.place === 'alone' ? 1 : 3;
    this.#limit = max;
    this.#peakLimit = max;
    const min = scene.full === true ? max : it.place === 'alone' ? 0 : 2;
    this.rig = new Rig({
      settings: { ...SETTINGS, min, max, reconnectTimeoutMs: it.ports === 'scripted' ? 0 : 300_000, ...scene.settings },
      script: (call, session) => this.#script(call, session),
      hooks: this.#hooks(),
      ports: this.#ports(),
      wrapClock: (clock) => {
        this.#clocks.holds = new CoarseHolds(clock, scene.holdMs);
        return this.#clocks.holds;
      },
    });
    const { driver } = this.rig;
    const open = driver.open.bind(driver);
    driver.open = (attempt) => {
      if (it.ports !== 'inert' && !this.#tasks.isDetached) complain('a connect was not detached');
      return open(attempt);
    };
    this.borrowers = new Borrowers(this.rig, complain, (session) => {
      return (this.#answers.get(session) ?? 0) > this.rig.clock.now();
    });
    this.#permits.wait = (take) => this.#waitForLeave(take);
    this.borrowers.excuses.connect = scene.permanent === true;
    this.#permits.keeps = () => this.#kept + this.#writtenOff > 0;
    if (scene.budget?.proves === true)
      this.#permits.prove((session, wanted, signal) => this.#seek(session as ScriptedSession, wanted, signal));
  }

  readonly complain: Complain = (violation) => {
    if (this.violations.length < 20) this.violations.push(`at ${this.rig.clock.now()}: ${violation}`);
  };

  // ── what scenes and disturbances use ──────────────────────────────────────────────────────────────────────────────────

  /** Takes a connection before the step under test. */
  async obtain(): Promise<ScriptedLease> {
    const ask = this.rig.ask();
    for (let tries = 0; ask.lease === undefined && tries < 50; tries += 1) await this.rig.clock.advance(5);
    if (ask.lease === undefined) throw new Error(`the scene could not be set: ${String(ask.error)}`);
    this.subject = ask.lease.session;
    this.#setUp += 1;
    return ask.lease;
  }

  async pass(ms: number): Promise<void> {
    await this.rig.clock.advance(ms);
  }

  /** Two borrowers, one behind the other; the first may give up, by its signal or by its deadline. */
  queueTwo(): void {
    this.#acted = this.rig.clock.now();
    const timeoutMs = this.it.disturbance === 'timeout' ? this.#untilDisturbed() : this.deadlineMs;
    this.borrowers.ask('the first', { timeoutMs, signal: this.aborter.signal });
    this.borrowers.ask('the second', { timeoutMs: this.deadlineMs });
  }

  get #once(): boolean {
    return this.it.place !== 'company-always';
  }

  get deadlineMs(): number {
    return this.#once ? DEADLINE_MS : LONG_DEADLINE_MS;
  }

  promise(name: string, promise: Promise<unknown>): void {
    this.promised.set(`${name} (${this.promised.size})`, watch(promise));
  }

  close(closure: Closure): void {
    this.borrowers.excuses.closed = true;
    const watched = watch(this.rig.engine.close(closure));
    const by = this.rig.clock.now() + closure.drainMs + closure.cancelMs + AFTER_CUT_MS;
    if (this.closed === undefined || by < this.closed.by) this.closed = { by, watched };
  }

  block(ms: number): void {
    this.rig.clock.block(ms);
    this.borrowers.blocked(ms);
    if (this.closed !== undefined) this.closed = { ...this.closed, by: this.closed.by + 3 * ms };
  }

  // ── the play ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  async play(): Promise<Played> {
    watchSteps(this);
    try {
      await this.#play();
    } catch (error) {
      this.complain(`threw ${error instanceof Error ? error.stack : String(error)}`);
    } finally {
      watchSteps(undefined);
    }
    return {
      violations: this.violations,
      timing: { leadMs: (this.#begunAt ?? 0) - this.#acted, boundMs: this.#boundMs },
    };
  }

  async #play(): Promise<void> {
    const { clock } = this.rig;
    const company = this.it.place === 'alone' ? [] : [await this.obtain(), await this.obtain()];
    this.subject = undefined;
    const lease = await this.#scene.before?.(this);
    this.subject = lease?.session;
    for (const held of company) this.#lendOut(held);
    if (lease !== undefined && !lease.released) this.#lendOut(lease, Infinity);
    this.#armed = true;
    this.#permits.exhausted = this.#scene.budget?.exhausted === true;
    this.#permits.pressure = this.#scene.budget?.pressure ?? 0;
    this.#scene.act(this, lease);
    const until = clock.now() + LONGEST_CASE_MS;
    await this.#run(until, () => this.#calm());
    if (this.#instant.steps >= STORM) return;
    if (this.#begunAt === undefined) this.complain(`the step ${this.step} never began`);
    if (!this.borrowers.allSettled) this.complain('not everybody was settled');
    if (this.closed === undefined) await this.#afterwards();
    await this.#end();
    this.#sum();
  }

  /** A newcomer finds the pool in order. */
  async #afterwards(): Promise<void> {
    const { clock } = this.rig;
    if (!this.#canServe()) return;
    this.borrowers.ask('a late newcomer', { timeoutMs: this.deadlineMs });
    await this.#run(clock.now() + this.deadlineMs + 100, () => this.borrowers.allDone);
  }

  async #end(): Promise<void> {
    const { clock, engine, driver } = this.rig;
    if (this.closed === undefined) this.close(FINAL);
    const { closed } = this;
    if (closed === undefined) return;
    await this.#run(closed.by, () => closed.watched.settled);
    if (!closed.watched.settled) this.complain(`close() did not end in time: ${JSON.stringify(engine.snapshot())}`);
    else if (closed.watched.value === undefined) this.complain(`close() threw ${String(closed.watched.error)}`);
    if (this.#writtenOff === 0 && this.#holds.pending > 0) this.complain(`${this.#holds.pending} timers when closed`);
    // The driver may still have answers to give.
    await this.#run(clock.now() + LONGEST_CASE_MS, () => false);
    const { size, waiting, phase } = engine.snapshot();
    if (phase !== 'closed') this.complain(`the phase at the end is ${phase}`);
    if (size > 0) this.complain(`${size} slots at the end`);
    if (waiting > 0) this.complain(`${waiting} waiters at the end`);
    if (driver.sockets > this.#kept)
      this.complain(`${driver.sockets} sockets at the end, ${this.#kept} kept by the driver`);
    if (clock.pendingTimers > 0) this.complain(`${clock.pendingTimers} timers at the end`);
    for (const [name, watched] of this.promised) if (!watched.settled) this.complain(`${name} was never settled`);
  }

  /** The books at the end. */
  #sum(): void {
    const { driver, engine } = this.rig;
    const { all } = this.borrowers;
    const stats = engine.stats();
    const served = all.filter((borrower) => borrower.lease !== undefined).length;
    const refused = Object.values(stats.requestsFailed).reduce((sum, count) => sum + count, 0);
    const asked = all.length - this.#lentOut + this.#setUp;
    if (stats.requests !== asked) this.complain(`${stats.requests} requests counted of ${asked}`);
    if (refused !== all.length - served) this.complain(`${refused} refusals counted of ${all.length - served}`);
    const bounded = this.#canServe() && !this.#scene.closes;
    for (const borrower of all) {
      if (bounded && borrower.lease === undefined && this.#mustServe(borrower)) {
        this.complain(`${borrower.name} was not served: ${String(borrower.error)}`);
      }
    }
    this.#sumBudget(stats);
    this.#sumHopeless();
    if (this.it.ports === 'inert') return;
    if (this.#ledger.out.size > 0) this.complain(`${this.#ledger.out.size} leases left in the ledger`);
    const lends = this.#events.count('lent');
    if (lends !== this.#ledger.entered) this.complain(`${lends} lends told, ${this.#ledger.entered} in the ledger`);
    if (this.#events.count('refused') !== refused) this.complain('not every refusal was told');
    const gone = this.#events.of('closed').map(([id]) => id);
    if (new Set(gone).size !== gone.length) this.complain('a connection was told closed twice');
    if (gone.length !== stats.connects) this.complain(`${stats.connects} slots were made, ${gone.length} told closed`);
    const stuck = this.#reports.codes().filter((code) => code === 'OXBOW_SOCKET_STUCK').length;
    if (stuck !== this.#writtenOff) this.complain(`${this.#writtenOff} sockets written off, ${stuck} reported`);
    if (driver.sessions.length > stats.connects + this.#probes) this.complain('a session without a slot');
  }

  #sumBudget({ connectsFailed, retired }: PoolStats): void {
    if (!this.#shares) return;
    const { disturbance, behaviour } = this.it;
    const { left, seeking, taken } = this.#permits;
    if (taken !== 0) this.complain(`${taken} permits not given back`);
    if (left !== 1) this.complain(`the pool left its budget ${left} times`);
    if (seeking > 0) this.complain(`${seeking} sessions still seek to prove their permit`);
    for (const { lease } of this.borrowers.all)
      if (lease !== undefined && !this.#permits.gave(lease.session)) this.complain('a session kept its permit');
    const yielded = Math.min(1, this.#scene.budget?.pressure ?? 0);
    if ((retired.budget ?? 0) < yielded) this.complain('nothing was yielded to those who starve');
    const fails = ['throw', 'error', 'late-error'].includes(behaviour) || this.#scene.budget?.refuses === true;
    // To be wanted no longer is no failure.
    if (this.step === 'admit' && !fails && disturbance !== 'kill' && connectsFailed > 0)
      this.complain(`${connectsFailed} connects count as failed`);
  }

  /** Nothing can help, and nothing is alive: whoever waited was told so, and did not wait for the deadline. */
  #sumHopeless(): void {
    const { behaviour, disturbance, place } = this.it;
    const hopeless = this.#scene.permanent === true && ['throw', 'error', 'late-error'].includes(behaviour);
    if (!hopeless || disturbance !== 'nothing' || place !== 'alone') return;
    for (const { error, name } of this.borrowers.all)
      if (['the first', 'the second'].includes(name) && !(error instanceof ConnectError))
        this.complain(`${name} was not told that nothing can help`);
  }

  /** Whether there is a budget in this case. */
  get #shares(): boolean {
    return this.it.ports === 'scripted' || this.#scene.budget !== undefined;
  }

  /** Whether the server can be used at all in this case. */
  #canServe(): boolean {
    const { behaviour } = this.it;
    if (this.#scene.closes) return false;
    // What comes after the connect's own bound is useless to everybody, however it ends.
    if (this.step === 'abandon') return this.#once;
    if ((behaviour === 'ok' || behaviour === 'slow') && this.#scene.budget?.refuses !== true) return true;
    if (this.step === 'permit' || this.step === 'admit') return this.#servedByBudget();
    if (this.#once) return true;
    return !['open', 'configure', 'check'].includes(this.step);
  }

  #servedByBudget(): boolean {
    const { behaviour } = this.it;
    if (this.#scene.permanent === true) return behaviour === 'late';
    if (this.#once) return behaviour !== 'never';
    return behaviour === 'late' && this.#scene.budget?.refuses !== true;
  }

  #mustServe({ name, excused }: Borrower): boolean {
    const { disturbance } = this.it;
    if (excused) return false;
    if (name === 'the first') return !['abort', 'timeout', 'close', 'pause-reject'].includes(disturbance);
    if (name === 'the second') return !['close', 'pause-reject'].includes(disturbance);
    if (name === 'a newcomer') return !['close', 'drain', 'pause-reject'].includes(disturbance);
    return true;
  }

  #calm(): boolean {
    if (this.closed?.watched.settled) return true;
    const since = this.#begunAt;
    if (since === undefined || !this.#armed) return false;
    const resumed = this.rig.clock.now() > since + 2 * Math.min(this.#boundMs, AFTER_CUT_MS) + 1_000;
    return resumed && this.borrowers.allDone && this.#running === 0;
  }

  /** Lets time pass from one happening to the next, looking at everything in between. */
  async #run(until: number, enough: () => boolean): Promise<void> {
    const { clock } = this.rig;
    await clock.settle();
    this.#audit();
    while (!enough() && this.#instant.steps < STORM) {
      const nextInMs = clock.nextInMs;
      if (nextInMs === undefined || clock.now() + nextInMs > until) return;
      await clock.advance(nextInMs);
      this.#audit();
    }
  }

  #audit(): void {
    const { driver, engine } = this.rig;
    const s = engine.snapshot();
    const { complain } = this;
    if (s.size !== s.opening + s.idle + s.lent + s.returning + s.closing) complain('the states do not add up');
    this.#limit = Math.max(s.max, Math.min(this.#limit, s.size));
    this.#peakLimit = Math.max(this.#peakLimit, this.#limit + this.#writtenOff);
    if (s.size > this.#limit) complain(`${s.size} slots, at most ${this.#limit} allowed`);
    const probe = Math.min(1, this.#probes);
    if (driver.sockets > s.size + this.#writtenOff + probe) {
      complain(`${driver.sockets} sockets for ${s.size} slots and ${this.#writtenOff} written off`);
    }
    if (driver.peakSockets > this.#peakLimit + probe)
      complain(`${driver.peakSockets} sockets at once, limit ${this.#peakLimit}`);
    for (const { session } of this.borrowers.holding)
      if (!this.#permits.proven(session)) complain('a session was lent that has not proven its permit');
    const holding = this.borrowers.holding.length;
    if (this.#armed && s.lent !== holding) complain(`${s.lent} lent, but ${holding} held`);
    if (engine.holders().length !== s.lent) complain(`${engine.holders().length} holders of ${s.lent} lent`);
    const lending = s.phase === 'open' || s.phase === 'opening' || s.phase === 'closing';
    if (lending && s.waiting > s.returning && s.idle > 0) {
      complain(`${s.waiting} wait while ${s.idle} are idle and ${s.returning} being checked`);
    }
    if (s.waiting !== this.borrowers.all.filter((borrower) => !borrower.settled).length && this.#armed) {
      complain(`${s.waiting} waiting, but not so many unsettled`);
    }
    this.borrowers.audit();
  }

  // ── the step under test ───────────────────────────────────────────────────────────────────────────────────────────────

  stepping(name: StepName, boundMs: number, work: () => unknown): Seen {
    if (boundMs !== Infinity) this.#running += 1;
    const over = (how: 'done' | 'failed' | 'late'): void => this.#stepped(name, boundMs, how);
    if (this.#storms()) return { work: () => new Promise(() => {}), over };
    const counted = name !== 'probe' ? work : () => this.#probing(work);
    if (!this.#armed || name !== this.step || (this.#hits > 0 && this.#once)) {
      return { work: counted, over };
    }
    this.#hits += 1;
    const first = this.#hits === 1;
    this.#boundMs = boundMs === Infinity ? NOMINAL_MS : boundMs;
    const hit = (): unknown => {
      this.#inWork = true;
      try {
        if (this.it.behaviour === 'throw' && this.step !== 'abandon') {
          if (this.step === 'destroy') this.#kept += 1;
          throw this.#fault('thrown at once');
        }
        return counted();
      } finally {
        this.#inWork = false;
        if (first) this.#begins();
      }
    };
    if (!first || this.it.moment !== 'between') return { work: hit, over };
    return {
      work: hit,
      over: (how) => {
        over(how);
        disturb(this);
      },
    };
  }

  #probing(work: () => unknown): unknown {
    this.#probes += 1;
    return work();
  }

  #stepped(name: StepName, boundMs: number, how: 'done' | 'failed' | 'late'): void {
    if (boundMs === Infinity) return;
    this.#running -= 1;
    if ((name === 'destroy' && how !== 'done' && boundMs > 1_000) || (name === 'abandon' && how === 'late')) {
      this.#writtenOff += 1;
    }
  }

  /** Steps without end in one instant would end the test and the process: they are told of and stopped. */
  #storms(): boolean {
    const now = this.rig.clock.now();
    this.#instant = this.#instant.at === now ? { at: now, steps: this.#instant.steps + 1 } : { at: now, steps: 1 };
    if (this.#instant.steps === STORM) this.complain(`${STORM} steps in one instant: a storm`);
    return this.#instant.steps >= STORM;
  }

  #begins(): void {
    const { clock } = this.rig;
    this.#begunAt = clock.now();
    const inMs = this.#disturbedInMs();
    if (this.it.moment === 'between' && !this.#neverOver) return;
    if (inMs === undefined) disturb(this);
    else clock.timer(inMs, () => disturb(this));
  }

  /** A wait for a permit has no bound: without an answer there is no outcome, and the disturbance comes by time. */
  get #neverOver(): boolean {
    return this.step === 'permit' && this.it.behaviour === 'never';
  }

  #disturbedInMs(): number | undefined {
    const { moment } = this.it;
    if (moment === 'begin') return undefined;
    const { afterMs, never } = this.#answer();
    const lasts = Math.min(never === true ? Infinity : (afterMs ?? 0), this.#boundMs);
    return Math.floor(moment === 'half' ? lasts / 2 : lasts);
  }

  /** From the first borrower's asking to the moment of the disturbance. */
  #untilDisturbed(): number {
    this.#boundMs = this.#timing.boundMs;
    return Math.max(1, this.#timing.leadMs + (this.#disturbedInMs() ?? 0));
  }

  #fault(text: string): Error {
    return this.#scene.permanent === true
      ? new ConnectError(text, { host: undefined, transient: false }, undefined)
      : scriptedError('08006', text);
  }

  /** How the step behaves, in the driver's terms. */
  #answer(): Behaviour {
    const bound = this.#boundMs;
    const fail = this.#fault('scripted to fail');
    switch (this.it.behaviour) {
      case 'ok':
        return {};
      case 'throw':
        return { fail };
      case 'slow':
        return { afterMs: Math.floor(bound * 0.75) };
      case 'error':
        return { afterMs: Math.floor(bound * 0.75), fail };
      case 'late':
        return { afterMs: Math.floor(bound * 1.5) };
      case 'late-error':
        return { afterMs: Math.floor(bound * 1.5), fail };
      case 'never':
        return { never: true };
    }
  }

  #script(call: ScriptedCall, session: ScriptedSession | undefined): Behaviour | undefined {
    if (this.step === 'abandon') return call === 'open' && this.#armed ? this.#scriptAbandoned() : undefined;
    const asked = this.step === 'probe' ? 'open' : this.step;
    if (!this.#inWork || call !== asked) return undefined;
    const answer = { ...this.#answer(), ...this.#scene.answer };
    if (session !== undefined) this.#works(session, answer);
    if (call === 'destroy' && (answer.never === true || answer.fail !== undefined)) this.#kept += 1;
    return answer;
  }

  /** A connect that outlasts its bound and is given up in the way of the case. */
  #scriptAbandoned(): Behaviour | undefined {
    const { behaviour } = this.it;
    this.#opens += 1;
    if (this.#opens > 1 && this.#once) return undefined;
    if (behaviour === 'throw') return { never: true };
    const connectMs = this.rig.settings.connectTimeoutMs;
    this.#boundMs = this.rig.settings.returnTimeoutMs;
    const answer = this.#answer();
    if (answer.never === true) {
      this.#kept += 1;
      return { never: true, deaf: true };
    }
    return { ...answer, deaf: true, afterMs: connectMs + Math.max(1, answer.afterMs ?? 0) };
  }

  /** The session now owes an answer; nobody may be given it meanwhile. */
  #works(session: ScriptedSession, answer: Behaviour): void {
    this.subject = session;
    const until = answer.never === true ? Infinity : this.rig.clock.now() + (answer.afterMs ?? 0);
    this.#answers.set(session, until);
  }

  #hooks(): Hooks<ScriptedSession> {
    const hook = (session: ScriptedSession): unknown => this.#hook(session);
    const named = Object.fromEntries((this.#scene.hooks ?? []).map((name) => [name, hook]));
    const { behaviour, ports } = this.it;
    const onReconnectFailed = (): Promise<never> => {
      if (behaviour === 'throw') throw new Error('thrown by onReconnectFailed');
      return Promise.reject(new Error('rejected by onReconnectFailed'));
    };
    return ports === 'inert' ? named : { ...named, onReconnectFailed };
  }

  #hook(session: ScriptedSession): unknown {
    if (!this.#inWork) return undefined;
    const answer = this.#answer();
    this.#works(session, answer);
    if (this.it.behaviour === 'ok') return undefined;
    return this.#later(answer);
  }

  #later(answer: Behaviour): Promise<void> {
    return new Promise((resolve, reject) => {
      if (answer.never === true) return;
      const settle = (): void => (answer.fail === undefined ? resolve() : reject(answer.fail));
      if (answer.afterMs === undefined) settle();
      else this.rig.clock.timer(answer.afterMs, settle);
    });
  }

  #waitForLeave(take: () => boolean): Promise<boolean> {
    if (!this.#inWork) return Promise.resolve(take());
    return this.#later(this.#answer())
      .then(() => this.#scene.budget?.refuses !== true && take())
      .finally(() => {
        if (this.#once) this.#permits.exhausted = false;
      });
  }

  /** A session proves its permit, and looks meanwhile whether it is wanted still. */
  #seek(session: ScriptedSession, wanted: () => number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.rig;
    if (!this.#inWork) return Promise.resolve(wanted() > 0);
    const answer = this.#answer();
    this.#works(session, answer);
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const over = (end: () => void): void => {
        timer?.cancel();
        signal.removeEventListener('abort', givesUp);
        this.#answers.delete(session);
        end();
      };
      const givesUp = (): void => over(() => reject(new Error('the session is given up')));
      const dueAt = clock.now() + (answer.never === true ? Infinity : (answer.afterMs ?? 0));
      const look = (): void => {
        const leftMs = dueAt - clock.now();
        if (leftMs <= 0 && answer.fail !== undefined) over(() => reject(answer.fail));
        else if (wanted() === 0) over(() => resolve(false));
        else if (leftMs <= 0) over(() => resolve(this.#scene.budget?.refuses !== true));
        else timer = clock.timer(Math.min(leftMs, LOOK_MS), look);
      };
      signal.addEventListener('abort', givesUp);
      look();
    });
  }

  #ports(): Partial<Ports> {
    const { ports } = this.it;
    const inert = { events: noEvents, reporter: silentReporter };
    if (ports === 'inert') return this.#shares ? { ...inert, permits: this.#permits } : inert;
    return {
      permits: this.#permits,
      ledger: this.#ledger,
      tasks: this.#tasks,
      events: this.#events.port,
      reporter: this.#reports,
      explainer: new FickleExplainer(),
    };
  }

  get #holds(): CoarseHolds {
    return this.#clocks.holds as CoarseHolds;
  }

  /** A connection that was taken before the step under test counts as held like any other. */
  #lendOut(lease: ScriptedLease, forMs: number = COMPANY_MS): void {
    this.#lentOut += 1;
    const borrower = this.borrowers.adopt(`somebody else (${this.#lentOut})`, lease);
    if (forMs !== Infinity) this.rig.clock.timer(forMs, () => this.borrowers.giveBack(borrower));
  }
}
