// One case, played: a pool led into a wait of its driver, the way that goes on the wire, the disturbance, and what must hold then.
// Owns the order of a case and the invariants of pool and wire; those of a single user are in `actors`, the ways into a wait in `scenes`.

import type { PoolClient } from 'pg';
import { type CloseReport, type Lease, Pool, type PoolOptions } from '../../../src/doors/index.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type Watched, watch } from '../../kit/rig.ts';
import { CoarseHolds } from '../coarse-holds.ts';
import { Actors } from './actors.ts';
import type { Case } from './axes.ts';
import type { Scene } from './scenes.ts';
import { type Answer, type Asked, type Backend, type Question, type Script, WireServer } from './server.ts';
import { marked, type Statement } from './statements.ts';

export const CONNECT_MS = 400;
export const RETURN_MS = 300;
export const CHECK_MS = 200;
/** A goodbye, a cut, a connect and a blocked loop in the middle of them fit. */
export const DEADLINE_MS = 12_000;
/** For how long the others' connections are out. */
const COMPANY_MS = 3_000;
/** What comes at most after a close's own times: a goodbye and a cut. */
const AFTER_CUT_MS = 6_000;
const LONGEST_CASE_MS = 60_000;
const BLOCK_MS = 2_000;
/** Far more than any case needs to happen in one instant. */
const STORM = 500;

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

const OPTIONS: PoolOptions = {
  host: 'db',
  user: 'u',
  database: 'd',
  logger: SILENT,
  callSites: false,
  dev: false,
  pooler: 'none',
  silentAfterMs: false,
  idleTimeoutMs: false,
  maxLifetimeMs: false,
  idlePingMs: false,
  connectTimeoutMs: CONNECT_MS,
  returnTimeoutMs: RETURN_MS,
  checkTimeoutMs: CHECK_MS,
  acquireTimeoutMs: DEADLINE_MS,
  speaker: process.env.WIRE_SPEAKER === 'pg' ? 'pg' : 'auto',
};

interface Closing {
  readonly by: number;
  readonly watched: Watched<CloseReport>;
}

export class Stage implements Script {
  readonly it: Case;
  readonly clock: VirtualClock = new VirtualClock();
  readonly server: WireServer;
  readonly pool: Pool;
  readonly actors: Actors;
  readonly violations: string[] = [];
  /** Of whoever holds the connection under test, and of the first of the two who queue. */
  readonly holder: AbortController = new AbortController();
  readonly first: AbortController = new AbortController();
  /** Sockets that were dialled when the scene's act began. */
  dialledBefore = 0;
  armed = false;
  /** The next such question goes wrong at once, before anything else does. */
  refuses: Question | undefined;
  readonly #scene: Scene;
  readonly #leadMs: number;
  readonly #holds: CoarseHolds;
  readonly #pids = new Map<number, number>();
  readonly #lent = new Set<number>();
  /** Who has sent on a session since it was lent. */
  readonly #senders = new Map<Backend, string>();
  #subject: Backend | undefined;
  #begunAt: number | undefined;
  #askedAt = 0;
  #closing: Closing | undefined;
  #writtenOff = 0;
  #kept = false;
  #instant = { at: 0, steps: 0 };

  /** `leadMs`: from the asking of the first to the beginning of the step, as it is undisturbed. */
  constructor(it: Case, scene: Scene, leadMs: number) {
    this.it = it;
    this.#scene = scene;
    this.#leadMs = leadMs;
    this.server = new WireServer(this.clock, this);
    this.#holds = new CoarseHolds(this.clock, scene.holdMs);
    const { stream } = this.server;
    const max = it.place === 'alone' ? 1 : 3;
    // In company each text has a name from its first use on.
    const prepare = it.place === 'company' ? 'always' : 'auto';
    this.pool = new Pool({ ...OPTIONS, clock: this.#holds, stream, max, prepare, ...scene.options?.(this) });
    this.actors = new Actors(this.pool, this.clock, this.server, this.complain);
    this.#observe();
  }

  readonly complain = (violation: string): void => {
    if (this.violations.length < 20) this.violations.push(`at ${this.clock.now()}: ${violation}`);
  };

  // ── what scenes use ───────────────────────────────────────────────────────────────────────────────────────────────────

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  async obtain(): Promise<Lease> {
    return this.#soon(this.pool.acquire());
  }

  async obtainClient(): Promise<PoolClient> {
    return this.#soon(this.pool.connect());
  }

  /** Two who ask one behind the other; the first may give up, by its signal or by its deadline. */
  queueTwo(): void {
    this.#askedAt = this.clock.now();
    const untilMs = Math.max(1, this.#leadMs + this.#disturbedAfterMs());
    this.actors.query('the first', this.it.disturbance === 'timeout' ? untilMs : DEADLINE_MS, this.first.signal);
    this.actors.query('the second', DEADLINE_MS);
  }

  /** A function of the user's, which goes as the case says once the scene has begun. */
  settings<T>(value: T): T | Promise<T> {
    if (!this.armed || this.#begunAt !== undefined) return value;
    const { how, afterMs, after } = this.#begin(undefined);
    if (how === 'never') return new Promise(() => {});
    const failure = Object.assign(new Error('the function says no'), how === 'reset' ? { code: 'ECONNRESET' } : {});
    if (how === 'fatal' || how === 'close') {
      queueMicrotask(after);
      throw failure;
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (how === 'done') resolve(value);
        else reject(failure);
        after();
      };
      if (afterMs === 0) settle();
      else this.clock.timer(afterMs, settle);
    });
  }

  // ── the script ────────────────────────────────────────────────────────────────────────────────────────────────────────

  answer(asked: Asked): Answer | undefined {
    const needless = asked.question === 'cancel' && this.#scene.cancels === false && !this.actors.closed;
    if (needless && asked.statement?.mark?.startsWith('the holder'))
      this.complain('a cancel request was sent for what had ended');
    if (this.armed && asked.question === this.refuses) {
      this.refuses = undefined;
      return { how: 'error', afterMs: 0, torn: false, after: () => {} };
    }
    if (!this.armed || this.#begunAt !== undefined || !this.#scene.begins(asked, this)) return undefined;
    if (asked.question === 'cut') this.#kept = this.it.behaviour === 'never';
    return this.#begin(asked.backend);
  }

  sent(statement: Statement, backend: Backend): void {
    const { mark } = statement;
    if (mark === undefined) return;
    const who = mark.split('#')[0] ?? '';
    const other = this.#senders.get(backend);
    if (other !== undefined && other !== who) this.complain(`${who} sent on the session that ${other} holds`);
    this.#senders.set(backend, who);
  }

  hit(statement: Statement, backend: Backend): void {
    if (statement.mark === undefined) this.complain(`a cancel hit "${statement.text}" on session ${backend.pid}`);
  }

  #begin(subject: Backend | undefined): Answer {
    this.#subject = subject;
    this.#begunAt = this.clock.now();
    const { moment, behaviour } = this.it;
    const answer = this.#answer();
    if (moment === 'begin') queueMicrotask(() => this.#disturb());
    else if (moment !== 'between' || behaviour === 'never')
      this.clock.timer(this.#disturbedAfterMs(), () => this.#disturb());
    return { ...answer, after: moment === 'between' ? () => this.#disturb() : () => {} };
  }

  #answer(): Omit<Answer, 'after'> {
    const bound = this.#scene.boundMs;
    const within = Math.floor(bound * 0.75);
    const after = Math.floor(bound * 1.5);
    const half = Math.floor(bound / 2);
    switch (this.it.behaviour) {
      case 'ok':
        return { how: 'done', afterMs: 0, torn: false };
      case 'slow':
        return { how: 'done', afterMs: within, torn: false };
      case 'torn':
        return { how: 'done', afterMs: within, torn: true };
      case 'error':
        return { how: 'error', afterMs: 0, torn: false };
      case 'slow-error':
        return { how: 'error', afterMs: within, torn: false };
      case 'late':
        return { how: 'done', afterMs: after, torn: false };
      case 'late-error':
        return { how: 'error', afterMs: after, torn: false };
      case 'never':
        return { how: 'never', afterMs: 0, torn: false };
      case 'fatal':
      case 'close':
      case 'reset':
        return { how: this.it.behaviour, afterMs: half, torn: false };
    }
  }

  /** From the beginning of the step to the disturbance; what comes between an answer and its consequences comes by that answer. */
  #disturbedAfterMs(): number {
    const { moment, behaviour } = this.it;
    const { boundMs } = this.#scene;
    const lasts = behaviour === 'never' ? boundMs : Math.min(this.#answer().afterMs, boundMs);
    if (moment === 'begin') return 0;
    if (moment === 'half') return Math.floor(lasts / 2);
    return moment === 'end' ? lasts : lasts + 1;
  }

  // ── the disturbance ───────────────────────────────────────────────────────────────────────────────────────────────────

  #disturb(): void {
    switch (this.it.disturbance) {
      case 'nothing':
      case 'timeout':
        break;
      case 'abort':
        this.first.abort(new Error('the first has gone'));
        this.holder.abort(new Error('the holder has gone'));
        break;
      case 'kill': {
        const victim = this.#subject?.alive === true ? this.#subject : this.server.alive[0];
        if (victim !== undefined) this.server.kill(victim);
        break;
      }
      case 'close':
        this.close({ drainMs: 0, cancelMs: 300, waiting: 'reject' });
        break;
      case 'drain':
        this.close({ drainMs: 25_000, cancelMs: 300, waiting: 'serve' });
        break;
      case 'block':
        this.clock.block(BLOCK_MS);
        this.actors.blocked(BLOCK_MS);
        if (this.#closing !== undefined) this.#closing = { ...this.#closing, by: this.#closing.by + 3 * BLOCK_MS };
        break;
    }
    // As soon as whoever is at work has done its turn.
    queueMicrotask(() => this.actors.query('a newcomer', DEADLINE_MS));
  }

  close(closure: { drainMs: number; cancelMs: number; waiting: 'reject' | 'serve' }): void {
    this.actors.closed = true;
    const by = this.clock.now() + closure.drainMs + closure.cancelMs + AFTER_CUT_MS;
    const watched = watch(this.pool.close(closure));
    if (this.#closing === undefined || by < this.#closing.by) this.#closing = { by, watched };
  }

  // ── the play ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The time from the asking of the first to the beginning of the step. */
  async play(): Promise<number> {
    try {
      await this.#play();
    } catch (error) {
      this.complain(`threw ${error instanceof Error ? error.stack : String(error)}`);
    }
    return (this.#begunAt ?? 0) - this.#askedAt;
  }

  async #play(): Promise<void> {
    const { clock, actors } = this;
    const company = this.it.place === 'alone' ? [] : [await this.obtain(), await this.obtain()];
    const act = await this.#scene.enter(this);
    for (const [n, lease] of company.entries()) this.#keep(`somebody else (${n + 1})`, lease);
    this.dialledBefore = this.server.sockets.filter(({ dialled }) => dialled).length;
    this.armed = true;
    act();
    await this.#run(clock.now() + LONGEST_CASE_MS, () => this.#calm());
    if (this.#instant.steps >= STORM) return;
    if (this.#begunAt === undefined) this.complain('the step never began');
    if (!actors.allSettled) this.complain('not everybody was settled');
    if (this.#closing === undefined) {
      actors.query('a late newcomer', DEADLINE_MS);
      await this.#run(clock.now() + DEADLINE_MS + 100, () => actors.allSettled);
    }
    await this.#end();
    actors.sum();
    this.#serve();
  }

  /** Somebody else's connection: a statement runs on it for a while, and then it comes back. */
  #keep(name: string, lease: Lease): void {
    const { clock, actors } = this;
    const work = lease.query(marked('select sleep 900', `${name}#1`));
    actors.watch(name, work, { withinMs: COMPANY_MS, value: `${name}#1` });
    clock.timer(COMPANY_MS, () => lease.release());
  }

  async #end(): Promise<void> {
    const { clock, server } = this;
    if (this.#closing === undefined) this.close({ drainMs: 500, cancelMs: 300, waiting: 'reject' });
    const closing = this.#closing;
    if (closing === undefined) return;
    await this.#run(closing.by, () => closing.watched.settled);
    if (!closing.watched.settled) this.complain(`close() did not end in time: ${JSON.stringify(this.pool.snapshot())}`);
    else if (closing.watched.value === undefined) this.complain(`close() threw ${String(closing.watched.error)}`);
    if (this.#writtenOff === 0) {
      if (this.#holds.pending > 0) this.complain(`${this.#holds.pending} timers when closed`);
      if (server.openSessions > 0) this.complain(`${server.openSessions} sockets when closed`);
      if (server.openCancels > 0) this.complain(`${server.openCancels} sockets of cancel requests when closed`);
    }
    // The server may still have answers to give.
    await this.#run(clock.now() + LONGEST_CASE_MS, () => false);
    const { size, waiting, phase } = this.pool.snapshot();
    if (phase !== 'closed') this.complain(`the phase at the end is ${phase}`);
    if (size > 0 || waiting > 0) this.complain(`${size} slots and ${waiting} waiters at the end`);
    const kept = this.#kept ? 1 : 0;
    if (server.openSessions + server.openCancels > kept)
      this.complain(`${server.openSessions} sockets at the end and ${server.openCancels} of cancel requests`);
    if (clock.pendingTimers > 0) this.complain(`${clock.pendingTimers} timers at the end`);
    if (!this.actors.allSettled) this.complain('not everybody was settled at the end');
  }

  /** Whoever could be served was. */
  #serve(): void {
    for (const { name, served, excused, error } of this.actors.all) {
      if (served || excused || !this.#mustServe(name)) continue;
      const mark = `${name}#1`;
      // Its statement met an end of its session, or an error of the server's.
      const died = this.server.backends.some(({ alive, marks }) => !alive && marks.has(mark));
      if (died && this.it.disturbance === 'kill') continue;
      this.complain(`${name} was not served: ${String(error)}`);
    }
  }

  #mustServe(name: string): boolean {
    const { disturbance } = this.it;
    if (name === 'the first') return disturbance !== 'abort' && disturbance !== 'timeout' && disturbance !== 'close';
    if (name === 'the second') return disturbance !== 'close';
    if (name === 'a newcomer') return disturbance !== 'close' && disturbance !== 'drain';
    return name === 'a late newcomer';
  }

  #calm(): boolean {
    if (this.#closing?.watched.settled) return true;
    const since = this.#begunAt;
    if (since === undefined || !this.armed) return false;
    return this.clock.now() > since + 2 * this.#scene.boundMs + 1_000 && this.actors.allSettled;
  }

  /** Lets time pass from one happening to the next, looking at everything in between. */
  async #run(until: number, enough: () => boolean): Promise<void> {
    const { clock } = this;
    await clock.settle();
    this.#audit();
    while (!enough()) {
      const nextInMs = clock.nextInMs;
      if (nextInMs === undefined || clock.now() + nextInMs > until) return;
      await clock.advance(nextInMs);
      this.#audit();
      const now = clock.now();
      this.#instant = this.#instant.at === now ? { at: now, steps: this.#instant.steps + 1 } : { at: now, steps: 0 };
      if (this.#instant.steps < STORM) continue;
      this.complain(`${STORM} things happened in one instant: a storm`);
      return;
    }
  }

  #audit(): void {
    const s = this.pool.snapshot();
    const { complain, server } = this;
    if (s.size !== s.opening + s.idle + s.lent + s.returning + s.closing) complain('the states do not add up');
    if (s.size > s.max) complain(`${s.size} slots, at most ${s.max} allowed`);
    const besides = this.#writtenOff + (this.#scene.probes === true ? 1 : 0);
    if (server.openSessions > s.size + besides) complain(`${server.openSessions} sockets for ${s.size} slots`);
    if (this.#lent.size < s.lent) complain(`${s.lent} lent, but ${this.#lent.size} told of`);
    if (this.pool.holders().length !== s.lent) complain(`${s.lent} lent, but not so many holders`);
    this.actors.audit();
  }

  // ── what the pool tells ───────────────────────────────────────────────────────────────────────────────────────────────

  #observe(): void {
    this.pool.observe({
      opened: ({ id, pid }) => void this.#pids.set(id, pid),
      lent: ({ id }) => this.#lentOut(id),
      returned: ({ id }) => void this.#lent.delete(id),
      lost: ({ id }) => void this.#lent.delete(id),
      closed: ({ id }) => void this.#lent.delete(id),
      report: ({ code }) => {
        if (code === 'OXBOW_SOCKET_STUCK') this.#writtenOff += 1;
      },
    });
  }

  #lentOut(id: number): void {
    if (this.#lent.has(id)) this.complain(`connection ${id} was lent to two`);
    this.#lent.add(id);
    const backend = this.server.of(this.#pids.get(id) ?? null);
    if (backend === undefined) {
      this.complain(`connection ${id} was lent, and the server does not know it`);
      return;
    }
    this.#senders.delete(backend);
    const unsettled = this.server.unsettled(backend);
    if (unsettled !== undefined) this.complain(`session ${backend.pid} was lent, ${unsettled}`);
    if (backend.told !== 'I') this.complain(`session ${backend.pid} was lent with status ${backend.told}`);
  }

  async #soon<T>(promise: Promise<T>): Promise<T> {
    const watched = watch(promise);
    for (let tries = 0; !watched.settled && tries < 50; tries += 1) await this.clock.advance(5);
    if (watched.value === undefined) throw new Error(`the scene could not be set: ${String(watched.error)}`);
    return watched.value;
  }
}
