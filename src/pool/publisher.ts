// What one pool tells on diagnostics channels. Owns what each message says, and that none is made while nobody subscribes to its channel; how
// a call is traced is known to the channels, what happens to the engine.

import { AsyncLocalStorage } from 'node:async_hooks';
import type pg from 'pg';
import type { Session } from '../contracts/driver.ts';
import type { Phase } from '../contracts/phase.ts';
import type { Report } from '../contracts/reporter.ts';
import type { Engine } from '../core/engine.ts';
import { Refusal, type Request, type Standing } from '../core/wait-queue.ts';
import type { Answer } from '../pg/codec-query.ts';
import type { Hearer } from '../pg/hearer.ts';
import type { PgSession } from '../pg/session.ts';
import type { PgInternals } from '../pg/shapes.ts';
import { shownText } from '../pg/shown-text.ts';
import {
  about,
  connects,
  drains,
  LEAK_CODES,
  leaks,
  type Messages,
  type Place,
  queries,
  reconnects,
  releases,
  removals,
  resizes,
  transactions,
  validations,
} from '../telemetry/channels.ts';
import type { PoolLease } from './lease.ts';
import type { TransactionOptions } from './requests.ts';

interface Sizes {
  readonly min: number;
  readonly max: number;
}

/** Whose pool it is. */
export interface Published {
  readonly name: string;
  readonly options: pg.PoolOptions;
}

/** A connection, as messages show it. */
interface Shown {
  readonly place: Place;
  readonly client: { processID?: number };
}

/** By the session, for its leases: these know no pool. */
const publishers = new WeakMap<Session, Publisher>();

export class Publisher implements Hearer {
  readonly #pool: Published;
  /** Where its server is, is not known before there is a connection: a function tells, or a driver of the user's. */
  readonly #tellsLater: boolean;
  #engine!: Engine<PgSession, PoolLease>;
  readonly #shown = new WeakMap<object, Shown>();
  /** As the connection says that was opened last. */
  #place: Place | undefined;
  /** Failed connects since the last that succeeded. */
  #failures = 0;

  constructor(pool: Published, tellsLater: boolean) {
    this.#pool = pool;
    this.#tellsLater = tellsLater;
  }

  /** Called once, before anything happens: the pool's engine, which is given back. */
  attach(engine: Engine<PgSession, PoolLease>): Engine<PgSession, PoolLease> {
    this.#engine = engine;
    return engine;
  }

  // Borrowing

  /** As the engine's own. */
  acquire(request?: Request): Promise<PoolLease> {
    return connects.hasSubscribers ? this.#traced(request) : this.#engine.acquire(request);
  }

  /** As the engine's own; what follows from it does not wait for those who hear of it. */
  takeAtOnce(): PoolLease | undefined {
    if (!connects.hasSubscribers) return this.#engine.takeAtOnce();
    const before = this.#about(this.#figures());
    const lease = this.#engine.takeAtOnce();
    if (lease !== undefined) void this.#trace(before, () => Promise.resolve(lease));
    return lease;
  }

  /**
   * As the engine's own. Whoever hears of it does so in the context of who asks now, and not of who gives a connection back; so what follows
   * runs in it too.
   */
  stand(who: Standing<PgSession, PoolLease>): boolean {
    const engine = this.#engine;
    if (!this.#wantsEachQuery) return engine.stand(who);
    if (!engine.mayStand) return false;
    const asAsked = AsyncLocalStorage.snapshot();
    if (!connects.hasSubscribers) return engine.stand({ settle: (outcome) => asAsked(() => who.settle(outcome)) });
    const context = this.#about(this.#figures());
    const since = engine.now();
    const settle = (outcome: PoolLease | Refusal): void => {
      if (outcome instanceof Refusal) connects.failed(context, outcome.error);
      else {
        this.#lent(context, outcome, since);
        connects.settled(context);
      }
      who.settle(outcome);
    };
    return connects.begin(context, () => engine.stand({ settle: (outcome) => asAsked(() => settle(outcome)) }));
  }

  /** Whether somebody wants to hear of the lends and queries of `pool.query()`, each in the context of whoever asked. */
  get #wantsEachQuery(): boolean {
    return connects.hasSubscribers || queries.hasSubscribers;
  }

  #traced(request: Request | undefined): Promise<PoolLease> {
    const label = request?.label;
    const context = this.#about({ ...this.#figures(), ...(label !== undefined && { label }) });
    return this.#trace(context, () => this.#engine.acquire(request));
  }

  #figures(): Pick<Messages['pg:pool:connect'], 'pool'> {
    const { size, closing, idle, waiting, max } = this.#engine.snapshot();
    return { pool: { totalCount: size - closing, idleCount: idle, waitingCount: waiting, maxSize: max } };
  }

  #trace(context: Messages['pg:pool:connect'], work: () => Promise<PoolLease>): Promise<PoolLease> {
    const since = this.#engine.now();
    return connects.trace(context, work, (lease) => this.#lent(context, lease, since));
  }

  #lent(context: Messages['pg:pool:connect'], { id, session }: PoolLease, since: number): void {
    const { place, client } = this.#of(session.client);
    Object.assign(context, place, { client, lease: id, waitedMs: this.#engine.now() - since });
  }

  /** `lease` was let go by its borrower. */
  released({ id, heldMs }: PoolLease, session: PgSession, reason: unknown): void {
    const { place, client } = this.#of(session.client);
    const error = reason !== undefined && reason !== null && reason !== false && { error: reason };
    releases.publish(about(this.#pool, { ...place, client, lease: id, heldMs, ...error }));
  }

  transaction<T>(lease: PoolLease, options: TransactionOptions | undefined, work: () => Promise<T>): Promise<T> {
    const { place, client } = this.#of(lease.session.client);
    const { isolation, readOnly } = options ?? {};
    const context: Messages['oxbow:transaction'] = about(this.#pool, {
      ...place,
      client,
      lease: lease.id,
      ...(lease.label !== undefined && { label: lease.label }),
      ...(isolation !== undefined && { isolation }),
      ...(readOnly !== undefined && { readOnly }),
    });
    return transactions.trace(context, work);
  }

  // Queries of the codec

  get wanted(): boolean {
    return queries.hasSubscribers;
  }

  hears(text: string, inside: PgInternals, answer: Answer, send: (answer: Answer) => void): void {
    const shown = shownText(text);
    const { place, client } = this.#of(inside);
    const operation = (/^[a-z]+/i.exec(shown)?.[0] ?? '').toUpperCase();
    const context: Messages['oxbow:query'] = about(this.#pool, { ...place, client, text: shown, operation });
    // The answer comes in the socket's context. What follows from it is not run in the asker's: it may serve others.
    const asAsked = AsyncLocalStorage.snapshot();
    let begun = false;
    let early: (() => void) | undefined;
    const told: Answer = {
      answered: (result) => {
        const { command, rowCount } = result;
        Object.assign(context, { command, rowCount });
        asAsked(() => queries.settled(context));
        answer.answered(result);
      },
      failed: (error) => {
        if (!begun) {
          early = () => told.failed(error);
          return;
        }
        asAsked(() => queries.failed(context, error));
        answer.failed(error);
      },
    };
    // Sent before anybody hears of it: a subscriber may do what it likes, such as use the same connection, or give it back.
    send(told);
    queries.begin(context, () => {});
    begun = true;
    early?.();
  }

  // What happens to connections, and to the pool

  opened(session: Session): void {
    publishers.set(session, this);
    const { client } = session as PgSession;
    // A foreign driver's session need not have one.
    if (typeof client === 'object' && client !== null) this.#note(client, session);
    const attempt = this.#failures;
    this.#failures = 0;
    if (attempt > 0 && reconnects.hasSubscribers) reconnects.publish(this.#about({ state: 'restored', attempt }));
  }

  openFailed(error: Error, attempt: number, retryInMs: number | undefined): void {
    this.#failures += 1;
    if (!reconnects.hasSubscribers) return;
    const later = retryInMs !== undefined && { retryInMs };
    reconnects.publish(this.#about({ state: 'failed', attempt, error, ...later }));
  }

  examined(outcome: 'kept' | 'replaced' | 'late', ms: number, session: Session): void {
    if (!validations.hasSubscribers) return;
    const { place, client } = this.#of((session as PgSession).client);
    validations.publish(about(this.#pool, { ...place, client, outcome, ms }));
  }

  closed(session: Session): void {
    if (!removals.hasSubscribers) return;
    const { place, client } = this.#of((session as PgSession).client);
    removals.publish(about(this.#pool, { ...place, client }));
  }

  phase(to: Phase): void {
    if (!drains.hasSubscribers || (to !== 'closing' && to !== 'closed')) return;
    const { lent, waiting } = this.#engine.snapshot();
    drains.publish(this.#about({ state: to === 'closing' ? 'begun' : 'ended', lent, waiting }));
  }

  report({ code, message, site }: Report): void {
    if (!leaks.hasSubscribers || !LEAK_CODES.has(code)) return;
    leaks.publish(this.#about({ code, message, ...(site !== undefined && { site }) }));
  }

  resized(old: Sizes, { min, max }: Sizes): void {
    if (resizes.hasSubscribers) resizes.publish(this.#about({ min, max, oldMin: old.min, oldMax: old.max }));
  }

  #about<M extends object>(message: M): Place & M {
    return about(this.#pool, { ...(this.#place ?? this.#asConfigured()), ...message });
  }

  #of(client: object): Shown {
    return this.#shown.get(client) ?? { place: this.#place ?? this.#asConfigured(), client: {} };
  }

  #note(client: pg.Client, session: Session): void {
    const { pid } = session;
    const place = this.#placeOf(client.host, client.port, client.database);
    this.#place = place;
    this.#shown.set(client, { place, client: pid === undefined ? {} : { processID: pid } });
  }

  #asConfigured(): Place {
    if (this.#tellsLater) return { poolName: this.#pool.name };
    const { host, port, database } = this.#pool.options;
    return this.#placeOf(host, port, database);
  }

  #placeOf(host: unknown, port: unknown, database: unknown): Place {
    return {
      poolName: this.#pool.name,
      ...(typeof host === 'string' && { serverAddress: host }),
      ...(port !== undefined && port !== null && Number.isInteger(Number(port)) && { serverPort: Number(port) }),
      ...(typeof database === 'string' && { database }),
    };
  }
}

/** Tells that a lease was let go. */
export function tellReleased(lease: PoolLease, session: PgSession, reason: unknown): void {
  publishers.get(session)?.released(lease, session, reason);
}

/** Runs a transaction that somebody wants to hear of. */
export function tellTransaction<T>(
  lease: PoolLease,
  options: TransactionOptions | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const publisher = publishers.get(lease.session);
  return publisher === undefined ? work() : publisher.transaction(lease, options, work);
}
