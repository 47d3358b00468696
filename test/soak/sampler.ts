// Looks at the server from outside: how many sessions a pool has there, those with a living socket and those that the server has
// not cleaned up yet.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Door } from './door.ts';

export class Sampler {
  samples = 0;
  /** Most at once of sessions whose socket is open here, and of those whose socket is gone. */
  mostLiving = 0;
  mostLingering = 0;
  readonly #client: pg.Client;
  readonly #door: Door;
  readonly #applicationName: string;

  constructor(client: pg.Client, door: Door, applicationName: string) {
    this.#client = client;
    this.#door = door;
    this.#applicationName = applicationName;
  }

  async run(until: number): Promise<void> {
    while (performance.now() < until) {
      const ports = await this.#ports();
      const living = ports.filter((port) => this.#door.isOpen(port)).length;
      this.samples += 1;
      this.mostLiving = Math.max(this.mostLiving, living);
      this.mostLingering = Math.max(this.mostLingering, ports.length - living);
      await sleep(50);
    }
  }

  /** How many are left; asked again for up to ten seconds while there are any. */
  async left(): Promise<number> {
    for (let tries = 0; ; tries += 1) {
      const { length } = await this.#ports();
      if (length === 0 || tries === 200) return length;
      await sleep(50);
    }
  }

  async #ports(): Promise<number[]> {
    const text = 'select client_port as port from pg_stat_activity where application_name = $1';
    const { rows } = await this.#client.query<{ port: number }>(text, [this.#applicationName]);
    return rows.map(({ port }) => port);
  }
}
