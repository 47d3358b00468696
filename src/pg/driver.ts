// The driver for PostgreSQL: opens sessions through the user's own `pg.Client`. Owns how a client is made, connected and given
// up; what happens to the session afterwards is the pool's business.

import type { Socket } from 'node:net';
import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import type { SetDeadline } from '../contracts/deadline.ts';
import type { Driver, Fault, OpenAttempt } from '../contracts/driver.ts';
import { OptionError } from '../contracts/errors.ts';
import { classify, legible } from './classify.ts';
import type { Sentences } from './condemn.ts';
import type { Hearer } from './hearer.ts';
import { backendOf, isPooled, type PoolerOption, type Tell, TransactionPooler, whatCannotWork } from './pooler.ts';
import { Secrets } from './secrets.ts';
import { PgSession } from './session.ts';
import { type ClientClass, internals, isPgClient, type PgConnection } from './shapes.ts';
import { destroyed } from './socket-end.ts';
import { Speakers } from './speakers.ts';
import { step } from './steps.ts';
import type { Prepare } from './texts.ts';
import { TraceMemory, Tracks } from './tracks.ts';

export interface PgDriverOptions {
  readonly Client: ClientClass;
  /** Given to each client as it is. */
  readonly config: pg.ClientConfig;
  /** Asked once per attempt; what it returns wins over `config`. */
  readonly connection: (() => unknown) | undefined;
  readonly clock: Clock;
  /** Idle sockets do not keep the process alive; the pool holds it while anything is in use. */
  readonly unref: boolean;
  /** Where there is none: plain timers. */
  readonly deadline?: SetDeadline | undefined;
  readonly queryTimeoutMs: number;
  readonly returnTimeoutMs?: number | undefined;
  /** The pool's, for errors. */
  readonly name?: string | undefined;
  readonly condemn?: Sentences | undefined;
  /** What is done to a session on its return. */
  readonly reset?: 'rollback' | 'tracked' | 'discard' | 'none' | 'custom' | undefined;
  /** The user prepares each session. */
  readonly configures?: boolean | undefined;
  /** Default `none`: nobody asks. */
  readonly pooler?: PoolerOption | undefined;
  /** Whether there is a pooler at each place that was ever connected to, as known beforehand. Default: nothing is. */
  readonly pooled?: Map<string, boolean> | undefined;
  /** What is to be said about a pooler. */
  readonly tell?: Tell | undefined;
  /** Default `pg`: pg speaks for every query. */
  readonly speaker?: 'auto' | 'pg' | undefined;
  /** Is told why pg speaks where the codec was to. */
  readonly tellSpeaker?: ((text: string) => void) | undefined;
  /** Who hears of each query that the codec speaks. */
  readonly hearer?: Hearer | undefined;
  /** Default false: nothing is prepared by itself. */
  readonly prepare?: Prepare | undefined;
  /** The connection string was given as nothing: "undefined", "empty". */
  readonly unset?: string | undefined;
}

export class PgDriver implements Driver<PgSession> {
  /** `host:port/database`, known from the first attempt on. */
  target: string | undefined = undefined;
  readonly #options: PgDriverOptions;
  /** What the user's functions threw, and which did. */
  readonly #thrown = new WeakMap<object, string>();
  readonly #memory: TraceMemory | undefined;
  readonly #transactions: TransactionPooler;
  readonly #speakers: Speakers;
  /** Whether there is a pooler at each place that was ever connected to. */
  readonly #pooled: Map<string, boolean>;
  readonly #secrets = new Secrets();
  #toldOfPooler = false;

  constructor(options: PgDriverOptions) {
    this.#options = options;
    this.#secrets.learn(options.config);
    this.#pooled = options.pooled ?? new Map();
    this.#memory = options.reset === 'tracked' ? new TraceMemory() : undefined;
    const { speaker = 'pg', prepare = false, tellSpeaker, hearer } = options;
    this.#speakers = new Speakers(speaker, prepare, tellSpeaker, hearer);
    this.#transactions = new TransactionPooler((message) => options.tell?.(message));
  }

  /** Who speaks on the connections, and how often who did. */
  get speakers(): Speakers {
    return this.#speakers;
  }

  /** What went wrong shows no secret, whoever said it. */
  async open(attempt: OpenAttempt): Promise<PgSession> {
    try {
      return await this.#open(attempt);
    } catch (error) {
      this.#secrets.scrub(error);
      throw error;
    }
  }

  async #open(attempt: OpenAttempt): Promise<PgSession> {
    const { Client } = this.#options;
    const config = await step('settings', this.#settings());
    attempt.signal.throwIfAborted();
    this.#secrets.learn(config);
    let client: pg.Client;
    try {
      client = new Client(config);
    } catch (error) {
      throw legible(error);
    }
    // Without the socket a session could neither be watched nor cut.
    if (!isPgClient(client)) throw new OptionError('Client', Client, "pg's Client, or a class that extends it");
    // For ever: an error without a listener would end the process, lent or idle.
    client.on('error', (error) => this.#secrets.scrub(error));
    if (config.stream === undefined) this.#speakers.furnish(client);
    // From wherever pg has it.
    const { host, port, user, database, password } = client;
    this.#secrets.learn({ host, user, database, password });
    this.target = this.#secrets.text(`${host}:${port}/${database ?? ''}`);
    const { connection } = internals(client);
    const giveUp = (): void => {
      connection.stream.destroy();
    };
    attempt.signal.addEventListener('abort', giveUp);
    const parameters = parametersOf(connection);
    try {
      await step('connect', client.connect());
      return await this.#session(client, parameters, streamOf(config));
    } catch (error) {
      await step('gone', destroyed(connection));
      throw this.#hinted(legible(error), client);
    } finally {
      attempt.signal.removeEventListener('abort', giveUp);
    }
  }

  async #session(
    client: pg.Client,
    parameters: ReadonlyMap<string, string>,
    stream: (() => Socket) | undefined,
  ): Promise<PgSession> {
    const { clock, deadline, unref, queryTimeoutMs, returnTimeoutMs, name, condemn } = this.#options;
    const backend = await step('pooler', this.#backend(client));
    if (unref) internals(client).connection.stream.unref();
    // Nothing that a statement leaves behind is ours behind a transaction pooler, nor could it be undone.
    const tracks = this.#memory === undefined || backend === null ? undefined : new Tracks(this.#memory);
    const watch = backend === null ? this.#transactions : undefined;
    const { spoken } = this.#speakers;
    const speaking = this.#speakers.of(client, backend === null);
    const given = { clock, deadline, queryTimeoutMs, returnTimeoutMs, pool: name, condemn };
    const session = new PgSession(client, { ...given, parameters, tracks, watch, backend, stream, speaking, spoken });
    // Ahead of everybody who is told.
    internals(client).connection.prependListener('errorMessage', (message) => this.#secrets.scrub(message));
    return session;
  }

  /** The server's process behind the session; undefined: as its key says; null: behind a transaction pooler there is none to name. */
  async #backend(client: pg.Client): Promise<number | null | undefined> {
    const { pooler = 'none' } = this.#options;
    const place = `${client.host}:${client.port}`;
    if (pooler === 'none' || (pooler === 'auto' && this.#pooled.get(place) === false)) return undefined;
    // A pooler takes a client in while its server is away: whether that can be reached shows here, and not to the first borrower.
    const backend = await step('query', backendOf(client));
    if (pooler === 'session') return backend;
    if (pooler === 'transaction') return this.#behindTransactions(false);
    const pooled = this.#pooled.get(place) ?? isPooled(client, backend);
    this.#pooled.set(place, pooled);
    return pooled ? this.#behindTransactions(true) : undefined;
  }

  #behindTransactions(found: boolean): null {
    const { reset, configures = false, tell } = this.#options;
    const wishes = { reset: reset === 'tracked' || reset === 'discard', configure: configures };
    const message = this.#toldOfPooler ? undefined : whatCannotWork(found, wishes);
    this.#toldOfPooler = true;
    if (message !== undefined) tell?.(message);
    return null;
  }

  /** Whoever forgot to set a variable finds nothing wrong with the server that the error names. */
  #hinted(error: Error, { host, port }: pg.Client): Error {
    const { unset } = this.#options;
    if (unset === undefined || process.env.PGHOST !== undefined) return error;
    error.message += ` (no server was configured: "connectionString" is ${unset}, so pg's default ${host}:${port} was used)`;
    return error;
  }

  async #settings(): Promise<pg.ClientConfig> {
    const { config, connection } = this.#options;
    if (connection === undefined) return this.#withPassword(config);
    const given: unknown = await this.#ask('connection', connection);
    if (typeof given === 'string') return this.#withPassword({ ...config, connectionString: given });
    if (typeof given === 'object' && given !== null) return this.#withPassword({ ...config, ...given });
    throw new OptionError('connection', given, 'a function that returns connection settings or a connection string');
  }

  /** pg asks for it in the middle of its handshake, and passes on what it throws. */
  #withPassword(config: pg.ClientConfig): pg.ClientConfig {
    const { password } = config;
    if (typeof password !== 'function') return config;
    const asked = async (...args: []): Promise<string> => {
      const given = await step(
        'settings',
        this.#ask('password', () => password(...args)),
      );
      this.#secrets.learn({ ...config, password: given });
      return given;
    };
    return { ...config, password: asked };
  }

  /** Calls a function of the user's; what it throws is kept in mind as that of this option. */
  async #ask<T>(option: string, fn: () => T | Promise<T>): Promise<T> {
    try {
      return await step('settings', Promise.resolve(fn()));
    } catch (thrown) {
      const error = legible(thrown);
      this.#thrown.set(error, option);
      throw error;
    }
  }

  thrownBy(error: unknown): string | undefined {
    return typeof error === 'object' && error !== null ? this.#thrown.get(error) : undefined;
  }

  classify(error: unknown): Fault {
    return classify(error);
  }
}

/**
 * What makes pg's sockets, where that is not Node: a tunnel, a connector of a cloud. pg asks of it whatever a socket of Node's can do. It is
 * told which sockets are for cancel requests: short ones, that do not count towards `max`.
 */
function streamOf({ stream }: pg.ClientConfig): (() => Socket) | undefined {
  if (typeof stream !== 'function') return undefined;
  const make = stream as unknown as (about: { readonly cancel: boolean }) => Socket;
  return () => make({ cancel: true });
}

/** Collects what the server reports of itself from the very beginning; pg keeps none of it. */
function parametersOf(connection: PgConnection): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
    parameters.set(parameterName, parameterValue);
  });
  return parameters;
}
