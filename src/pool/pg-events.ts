// pg's events: connect, acquire, release, remove, error, with pg's arguments. Owns their translation from what the engine tells, and
// that a listener which throws harms nobody but is reported.

import type { EventEmitter } from 'node:events';
import type pg from 'pg';
import type { Session } from '../contracts/driver.ts';
import type { Reporter } from '../contracts/reporter.ts';
import type { PgSession } from '../pg/session.ts';
import type { ClientEvents } from './observers.ts';

/** Some libraries warn of a pool that nobody listens to; ours needs no listener to stay alive. */
const inert = (): void => {};

export class PgEvents implements ClientEvents {
  readonly #pool: EventEmitter;
  readonly #reporter: Reporter;
  /** The pool's, for reports. */
  readonly #name: string;
  #coming = false;
  /** Told when `listening` may have changed. */
  onChange: () => void = () => {};

  constructor(pool: EventEmitter, reporter: Reporter, name: string) {
    this.#pool = pool;
    this.#reporter = reporter;
    this.#name = name;
    pool.on('error', inert);
    pool.on('connect', inert);
    const changed = (name: unknown, coming: boolean): void => {
      if (name !== 'acquire' && name !== 'release') return;
      this.#coming = coming;
      this.onChange();
      this.#coming = false;
    };
    // Told of a new listener before it is one; in this very turn, because the next statement may borrow.
    pool.on('newListener', (name) => changed(name, true));
    pool.on('removeListener', (name) => changed(name, false));
  }

  get listening(): boolean {
    return this.#coming || this.#pool.listenerCount('acquire') + this.#pool.listenerCount('release') > 0;
  }

  opened(session: Session): void {
    this.#emit('connect', clientOf(session));
  }

  lent(session: Session): void {
    this.#emit('acquire', clientOf(session));
  }

  released(session: Session, reason: unknown): void {
    this.#emit('release', reason, clientOf(session));
  }

  /** Only for idle ones, as in pg: whoever holds a connection hears of its end in his own queries. */
  lost(error: Error, state: string, session: Session): void {
    if (state !== 'idle' && state !== 'returning') return;
    const client = clientOf(session);
    Object.defineProperty(error, 'client', { value: client, enumerable: false, configurable: true, writable: true });
    if (this.#pool.listenerCount('error') > 1) {
      this.#emit('error', error, client);
      return;
    }
    const what = state === 'idle' ? 'an idle connection was lost' : 'a connection was lost at its return or in a check';
    const message = `${this.#name}: ${what}: ${error.message}`;
    this.#reporter.report({ code: 'OXBOW_CONNECTION_LOST', message, error });
  }

  closed(session: Session): void {
    this.#emit('remove', clientOf(session));
  }

  #emit(name: string, first: unknown, second?: pg.Client): void {
    try {
      if (second === undefined) this.#pool.emit(name, first);
      else this.#pool.emit(name, first, second);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const message = `${this.#name}: a listener of "${name}" threw: ${why}`;
      this.#reporter.report({ code: 'OXBOW_CALLBACK_FAILED', message, error });
    }
  }
}

/** A foreign driver's session has no client of pg's; its listeners get the session. */
function clientOf(session: Session): pg.Client {
  return (session as PgSession).client ?? (session as unknown as pg.Client);
}
