// The peers, each over the cheapest resource it accepts: a plain object, and for pg-pool a client that does no I/O.

import { EventEmitter } from 'node:events';
import generic from 'generic-pool';
import pg from 'pg';
import { Pool as TarnPool } from 'tarn';
import { FakeConnection, type Lendable } from './connection.ts';
import { type Contestant, MAX } from './contestant.ts';

/** As much of a `pg.Client` as pg-pool touches. A plain emitter is a little cheaper for pg-pool than a real client: its advantage. */
class FakeClient extends EventEmitter implements Lendable {
  static opened: FakeClient[] = [];
  busy = false;
  served = 0;
  readonly _queryable = true;
  readonly _ending = false;

  constructor() {
    super();
    FakeClient.opened.push(this);
  }

  connect(callback: (error: null) => void): void {
    process.nextTick(callback, null);
  }

  end(callback?: () => void): void {
    callback?.();
  }

  ref(): void {}
  unref(): void {}

  isConnected(): boolean {
    return true;
  }
}

export class PgPool implements Contestant<pg.PoolClient> {
  readonly pool: pg.Pool;
  readonly connections: readonly FakeClient[] = [];

  constructor(options: Pick<pg.PoolConfig, 'connectionTimeoutMillis' | 'idleTimeoutMillis'> = {}) {
    FakeClient.opened = [];
    this.connections = FakeClient.opened;
    this.pool = Reflect.construct(pg.Pool, [{ ...options, Client: FakeClient, max: MAX }]);
  }

  acquire(): Promise<pg.PoolClient> {
    return this.pool.connect();
  }

  connectionOf(client: pg.PoolClient): Lendable {
    const own: unknown = client;
    if (!(own instanceof FakeClient)) throw new Error('not one of our clients');
    return own;
  }

  release(client: pg.PoolClient): void {
    client.release();
  }
}

export class GenericPool implements Contestant<FakeConnection> {
  readonly connections: FakeConnection[] = [];
  readonly #pool: generic.Pool<FakeConnection>;

  constructor() {
    const create = async (): Promise<FakeConnection> => {
      const connection = new FakeConnection();
      this.connections.push(connection);
      return connection;
    };
    this.#pool = generic.createPool({ create, destroy: async () => {} }, { max: MAX, min: MAX });
  }

  acquire(): Promise<FakeConnection> {
    return this.#pool.acquire();
  }

  connectionOf(connection: FakeConnection): Lendable {
    return connection;
  }

  release(connection: FakeConnection): void {
    void this.#pool.release(connection);
  }
}

export class Tarn implements Contestant<FakeConnection> {
  readonly connections: FakeConnection[] = [];
  readonly #pool: TarnPool<FakeConnection>;

  constructor() {
    const create = async (): Promise<FakeConnection> => {
      const connection = new FakeConnection();
      this.connections.push(connection);
      return connection;
    };
    this.#pool = new TarnPool({ create, destroy: () => {}, min: MAX, max: MAX });
  }

  acquire(): Promise<FakeConnection> {
    return this.#pool.acquire().promise;
  }

  connectionOf(connection: FakeConnection): Lendable {
    return connection;
  }

  release(connection: FakeConnection): void {
    this.#pool.release(connection);
  }
}
