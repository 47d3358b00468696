// Oxbow, through its public Pool: a driver whose sessions open at once and are always at rest.

import type { QueryResult } from 'pg';
import type { Clock } from '../../src/contracts/clock.ts';
import type { Driver, Session, SessionStatus } from '../../src/contracts/driver.ts';
import { type AcquireOptions, type Lease, Pool } from '../../src/doors/index.ts';
import type { Budget } from '../../src/doors/threads.ts';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { FakeConnection, type Lendable } from './connection.ts';
import { type Contestant, MAX } from './contestant.ts';

const NO_ROWS: QueryResult = { command: 'SELECT', rowCount: 0, oid: 0, rows: [], fields: [] };

/** Who asked a query, as the pool tells its own sessions. */
interface Asker {
  answered(result: QueryResult): void;
}

class FakeSession implements Session {
  readonly sent = 0;
  readonly status: SessionStatus = 'idle';
  readonly client: FakeConnection = new FakeConnection();

  onLost(): void {}
  /** As the codec: asked and answered, here at once. */
  speak(_query: unknown, _values: unknown, asker: Asker): boolean {
    asker.answered(NO_ROWS);
    return true;
  }
  async ping(): Promise<void> {}
  async rollback(): Promise<void> {}
  async discard(): Promise<void> {}
  async settle(): Promise<boolean> {
    return false;
  }
  async end(): Promise<void> {}
  async destroy(): Promise<void> {}
}

export class InstantDriver implements Driver<FakeSession> {
  readonly connections: FakeConnection[] = [];

  async open(): Promise<FakeSession> {
    const session = new FakeSession();
    this.connections.push(session.client);
    return session;
  }

  classify(): 'transient' {
    return 'transient';
  }
}

export class Ours implements Contestant<Lease> {
  readonly pool: Pool;
  readonly connections: readonly FakeConnection[];

  constructor(
    options: { clock?: Clock; acquireTimeoutMs?: number; dev?: boolean; budget?: Budget } = {},
    Class = Pool,
  ) {
    const driver = new InstantDriver();
    this.connections = driver.connections;
    this.pool = new Class({ clock: systemClock, dev: false, ...options, driver, max: MAX });
  }

  acquire(request?: AcquireOptions): Promise<Lease> {
    return this.pool.acquire(request);
  }

  connectionOf(lease: Lease): Lendable {
    const client: unknown = lease.client;
    if (!(client instanceof FakeConnection)) throw new Error('not one of our connections');
    return client;
  }

  release(lease: Lease): void {
    lease.release();
  }
}
