// The budget of a world: it grants at once or after a while, refuses, revokes and dies as the sequence says, and lets sessions seek for
// the proof of their permits. Owns what must hold between it and the pool; the reference is told what it complains of.

import type { Session } from '../../src/contracts/driver.ts';
import { ConnectError } from '../../src/contracts/errors.ts';
import type { ScriptedSession } from '../../src/testing/scripted-driver.ts';
import type { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { ScriptedPermits } from '../kit/ports.ts';
import type { Command, Proof } from './commands.ts';
import type { Reference } from './reference.ts';

/** A seeker looks so often whether it is wanted still. */
const LOOK_MS = 250;
const SEEK_MS = 40;
const LONG_MS = 700;
/** Nobody takes from whoever waits what has only just been made: no pool would ever have anything. */
const RESPITE_MS = 20;

/** The end of a search, in whatever way. */
interface Search {
  prove(): void;
}

export class WorldPermits extends ScriptedPermits {
  readonly #clock: VirtualClock;
  readonly #reference: Reference;
  readonly #proven = new Set<Session>();
  readonly #searches = new Set<Search>();
  #next: { how: Proof; left: number } = { how: 'ok', left: 0 };
  readonly #waits: () => boolean;
  /** Idle ones are asked, whoever waits. */
  #pressing = false;
  #revokes = false;
  #delayMs = 0;
  #takesWhenLeft = 0;

  /** `waits`: whether somebody waits whom the pool would serve. */
  constructor(limit: number, clock: VirtualClock, reference: Reference, waits: () => boolean) {
    super(limit);
    this.#waits = waits;
    this.#clock = clock;
    this.#reference = reference;
    this.yielding = ({ heldMs, needed }) => {
      if (needed && !(this.#revokes && heldMs >= RESPITE_MS)) return false;
      reference.happens(
        needed ? 'permit: yielded although somebody waited' : 'permit: yielded by one that nobody needed',
      );
      return true;
    };
    this.later = (grant) => {
      if (this.#delayMs === 0) grant();
      else this.#clock.timer(this.#delayMs, grant);
    };
  }

  get seeking(): number {
    return this.#searches.size;
  }

  proven(session: Session): boolean {
    return this.admit === undefined || this.#proven.has(session);
  }

  /** From now on a session has to prove its permit; `done` is told when it has. */
  override prove(done: (session: ScriptedSession) => void = () => {}): void {
    const asked = new Set<Session>();
    this.admit = async (session, wanted, signal) => {
      if (asked.has(session)) this.#reference.complain('a session was to prove its permit twice');
      if (this.left > 0)
        this.#reference.complain('a session was to prove its permit to a budget that the pool has left');
      asked.add(session);
      const proven = await this.#search(wanted, signal);
      if (!proven) return false;
      this.#proven.add(session);
      done(session as ScriptedSession);
      return true;
    };
  }

  /** How the next proofs go. */
  expect(how: Proof, times: number): void {
    this.#next = { how, left: times };
  }

  become(command: Command & { readonly do: 'permits' }): void {
    this.#delayMs = command.delayMs ?? 0;
    this.#revokes = command.revokes === true;
    this.die(command.dead === true);
    this.raise(command.limit);
    this.press(command.pressure);
  }

  /** Nobody else wants anything, and there is plenty. */
  heal(): void {
    this.expect('ok', 0);
    this.#delayMs = 0;
    this.press(0);
    this.die(false);
    this.raise(Infinity);
    for (const search of this.#searches) search.prove();
  }

  override take(wanted: () => number): Promise<boolean> {
    if (this.left > 0) this.#reference.complain('a budget that the pool has left was asked for a permit');
    this.#reference.happens('permit: waited for');
    const since = this.#clock.now();
    const taken = super.take(wanted);
    void taken.then((granted) => {
      if (granted && this.#clock.now() > since) this.#reference.happens('permit: granted late');
      if (!granted && this.dead) this.#reference.happens('permit: refused');
    });
    return taken;
  }

  override give(session: Session | undefined): void {
    if (session !== undefined && this.given.includes(session))
      this.#reference.complain('the permit of a session was given back twice');
    if (this.taken === 0) this.#reference.complain('a permit was given back that nobody has');
    super.give(session);
  }

  override press(pressure: number): void {
    this.#pressing = true;
    super.press(pressure);
    this.#pressing = false;
  }

  override yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    const complain = (text: string): void => this.#reference.complain(`a session was asked to yield ${text}`);
    if (this.pressure <= 0) complain('while nobody starves');
    if (!(heldMs >= idleMs && idleMs >= 0)) complain(`that exists for ${heldMs} ms and is idle for ${idleMs}`);
    if (needed && idleMs > 0) complain('that somebody waits for and that is idle');
    if (!this.#pressing && needed !== this.#waits()) complain(`as if ${needed ? 'somebody' : 'nobody'} waited for it`);
    return super.yields(needed, heldMs, idleMs);
  }

  override leave(): void {
    super.leave();
    this.#takesWhenLeft = this.takes;
    if (this.taken > 0) this.#reference.complain(`the pool left with ${this.taken} permits`);
  }

  override tryTake(): boolean {
    if (this.left > 0) this.#reference.complain('a budget that the pool has left was asked for a permit');
    return super.tryTake();
  }

  /** Takes after the pool has left. */
  get takenTooLate(): number {
    return this.left === 0 ? 0 : this.takes - this.#takesWhenLeft;
  }

  #search(wanted: () => number, signal: AbortSignal): Promise<boolean> {
    const reference = this.#reference;
    const how = this.#next.left > 0 ? this.#next.how : 'ok';
    this.#next.left -= 1;
    const bound = { ok: 0, seek: SEEK_MS, long: LONG_MS, never: Infinity, fail: SEEK_MS, permanent: 0, refuse: 0 };
    const dueAt = this.#clock.now() + bound[how];
    return new Promise((resolve, reject) => {
      const over = (end: () => void): void => {
        if (!this.#searches.delete(search)) return;
        signal.removeEventListener('abort', givenUp);
        end();
      };
      const answer = (proven: boolean): void => over(() => resolve(proven));
      const since = this.#clock.now();
      const prove = (): void => {
        reference.happens(this.#clock.now() > since ? 'proof: after a while' : 'proof: at once');
        answer(true);
      };
      const search: Search = { prove };
      const givenUp = (): void => {
        reference.happens('proof: given up');
        over(() => reject(signal.reason));
      };
      const conclude = (): void => {
        if (how === 'refuse') {
          reference.happens('proof: refused');
          answer(false);
        } else if (how === 'fail') {
          reference.happens('proof: failed');
          over(() => reject(new Error('the proof failed')));
        } else if (how === 'permanent') {
          reference.happens('proof: can never succeed');
          over(() => reject(new ConnectError('not in this budget', { host: undefined, transient: false }, undefined)));
        } else prove();
      };
      const look = (): void => {
        if (!this.#searches.has(search)) return;
        const leftMs = dueAt - this.#clock.now();
        if (wanted() === 0) {
          reference.happens('proof: wanted no longer');
          answer(false);
        } else if (leftMs <= 0) conclude();
        else this.#clock.timer(Math.min(leftMs, LOOK_MS), look);
      };
      this.#searches.add(search);
      signal.addEventListener('abort', givenUp);
      look();
    });
  }
}
