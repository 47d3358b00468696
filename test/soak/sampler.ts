// Looks at the server from outside: how many sessions a pool has there, those whose socket exists at the pool's side and those that
// the server has not cleaned up yet.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ServerConfig } from '../../src/doors/testing.ts';
import type { Wire } from './wire.ts';

const EVERY_MS = 100;

export class Sampler {
  samples = 0;
  /** Most at once of sessions with a client, and of those without. */
  mostLiving = 0;
  mostLingering = 0;
  readonly #config: ServerConfig;
  readonly #wire: Wire;
  readonly #applicationName: string;
  #client: pg.Client | undefined;
  #stopped = false;

  constructor(config: ServerConfig, wire: Wire, applicationName: string) {
    this.#config = config;
    this.#wire = wire;
    this.#applicationName = applicationName;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const ports = await this.#ports();
      if (ports !== undefined) {
        const living = await this.#wire.living(ports);
        this.samples += 1;
        this.mostLiving = Math.max(this.mostLiving, living);
        this.mostLingering = Math.max(this.mostLingering, ports.length - living);
      }
      await sleep(EVERY_MS);
    }
    await this.#client?.end().catch(() => {});
    this.#client = undefined;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** How many are left; asked again for up to ten seconds while there are any. */
  async left(): Promise<number> {
    try {
      for (let tries = 0; ; tries += 1) {
        const ports = await this.#ports();
        if (ports?.length === 0 || tries === 100) return ports?.length ?? 0;
        await sleep(EVERY_MS);
      }
    } finally {
      await this.#client?.end().catch(() => {});
    }
  }

  /** Undefined while the server is not there. */
  async #ports(): Promise<number[] | undefined> {
    try {
      // A backend that is stopped keeps its row when its socket is long gone, and the port may be somebody else's by then: counted once.
      const text = 'select distinct client_port as port from pg_stat_activity where application_name = $1';
      const { rows } = await (await this.#connected()).query<{ port: number }>(text, [this.#applicationName]);
      return rows.map(({ port }) => port);
    } catch {
      this.#client?.connection.stream.destroy();
      this.#client = undefined;
      return undefined;
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== undefined) return this.#client;
    const client = new pg.Client({ ...this.#config, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
    client.on('error', () => {});
    await client.connect();
    this.#client = client;
    return client;
  }
}
