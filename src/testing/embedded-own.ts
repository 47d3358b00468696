// A server of a test's own: puts programs, cluster, port and guard together. Operations on it run one after the other.

import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binaries, findBinaries } from './embedded-binaries.ts';
import { versionOf } from './embedded-client.ts';
import { Cluster, type ClusterPlan, SUPERUSER } from './embedded-cluster.ts';
import { freePort, isFree } from './embedded-port.ts';
import { run, serverUser } from './embedded-run.ts';
import type { EmbeddedPostgresOptions, PostgresServer, ServerConfig } from './embedded-server.ts';

const BUSY_PORT = /could not (bind|create any TCP)/;

export class OwnServer implements PostgresServer {
  readonly ownsServer = true;
  readonly schema = 'public';
  readonly origin: string;
  readonly #cluster: Cluster;
  readonly #plan: ClusterPlan;
  #port: number;
  #version = '';
  #turn: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  private constructor(cluster: Cluster, plan: ClusterPlan, binaries: Binaries, port: number) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#port = port;
    this.origin = binaries.origin;
  }

  static async start(options: EmbeddedPostgresOptions): Promise<OwnServer> {
    if (process.platform === 'win32') {
      throw new Error(
        'embeddedPostgres() starts servers on Linux and macOS; on Windows set DATABASE_URL to one that runs',
      );
    }
    const user = serverUser();
    if (user !== undefined && !(await run('true', [], { user, cwd: tmpdir(), timeoutMs: 10_000 })).ok) {
      throw new Error(
        `embeddedPostgres(): root has to run PostgreSQL as user ${user.name}, who may not enter the folder for temporary files, ${tmpdir()}; set TMPDIR to one that every user may enter`,
      );
    }
    const cluster = new Cluster();
    const guard = cluster.guard;
    try {
      const wanted = { from: options.from ?? 'any', packageDir: options.packageDir };
      const binaries = await findBinaries(wanted, user, (folder) => cluster.temporary(folder));
      const plan: ClusterPlan = {
        bin: binaries.bin,
        user,
        auth: options.auth ?? 'trust',
        password: options.password ?? randomBytes(12).toString('hex'),
        settings: options.settings ?? {},
        timeoutMs: options.startTimeoutMs ?? 60_000,
      };
      await cluster.create(plan);
      const server = new OwnServer(cluster, plan, binaries, options.port ?? (await freePort()));
      await server.#startOnAnyPort();
      guard.assertWatching();
      return server;
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  async #startOnAnyPort(): Promise<void> {
    for (let tries = 1; ; tries++) {
      if (!(await isFree(this.#port))) this.#port = await freePort();
      try {
        return await this.#start();
      } catch (error) {
        // Somebody took it between our look and the server's.
        if (tries >= 5 || !BUSY_PORT.test(this.log())) throw error;
        this.#port = await freePort();
      }
    }
  }

  /** Starts it on its port and waits until it answers. */
  async #start(): Promise<void> {
    const { timeoutMs } = this.#plan;
    const deadline = performance.now() + timeoutMs;
    await this.#cluster.launch(this.#plan, this.#port);
    for (;;) {
      let last: unknown;
      try {
        // Through the socket: what answers on a port might be somebody else.
        this.#version = await versionOf({
          ...this.config,
          host: this.#cluster.folder,
          ssl: false,
          connectionTimeoutMillis: 5_000,
        });
        return;
      } catch (error) {
        last = error;
      }
      const why =
        this.#cluster.pid === undefined
          ? 'the server ended while starting'
          : performance.now() > deadline
            ? `the server did not answer within ${timeoutMs} ms`
            : undefined;
      if (why !== undefined) {
        const text = `embeddedPostgres(): ${why}; the end of its log:\n${this.log()}`;
        await this.#cluster.halt('immediate');
        throw new Error(text, { cause: last });
      }
      await sleep(10);
    }
  }

  get config(): ServerConfig {
    const config = { host: '127.0.0.1', port: this.#port, user: SUPERUSER, database: SUPERUSER };
    return this.#plan.auth === 'scram' ? { ...config, password: this.#plan.password } : config;
  }

  get #login(): string {
    return this.#plan.auth === 'scram' ? `${SUPERUSER}:${encodeURIComponent(this.#plan.password)}` : SUPERUSER;
  }

  get url(): string {
    return `postgres://${this.#login}@127.0.0.1:${this.#port}/${SUPERUSER}`;
  }

  get socketUrl(): string {
    const host = encodeURIComponent(this.#cluster.folder);
    return `postgres://${this.#login}@localhost/${SUPERUSER}?host=${host}&port=${this.#port}`;
  }

  get version(): string {
    return this.#version;
  }

  get pid(): number | undefined {
    return this.#cluster.pid;
  }

  get folder(): string {
    return this.#cluster.folder;
  }

  log(bytes = 4_000): string {
    return this.#stopped ? '' : this.#cluster.log(bytes);
  }

  pause(): void {
    this.#cluster.pause();
  }

  resume(): void {
    this.#cluster.resume();
  }

  restart(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (this.#stopped) return Promise.reject(new Error('embeddedPostgres(): the server was stopped for good'));
    return this.#next(async () => {
      await this.#cluster.halt(mode);
      const deadline = performance.now() + this.#plan.timeoutMs;
      // Somebody may have taken the port meanwhile; it is this one or none, since others know it.
      while (!(await isFree(this.#port))) {
        if (performance.now() > deadline) {
          throw new Error(`embeddedPostgres(): port ${this.#port} was taken by somebody else during the restart`);
        }
        await sleep(50);
      }
      await this.#start();
    });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#next(() => this.#cluster.remove());
    return this.#stopped;
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // told to the caller of this one, not to the next
    return done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
