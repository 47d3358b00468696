// Oxbow, through its public Pool: a driver whose sessions open at once and are always at rest.

import type { Clock } from '../../src/contracts/clock.ts';
import type { Driver, Session, SessionStatus } from '../../src/contracts/driver.ts';
import { type AcquireOptions, type Lease, Pool } from '../../src/doors/index.ts';
import type { Budget } from '../../src/doors/threads.ts';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { FakeConnection, type Lendable } from './connection.ts';
import { type Contestant, MAX } from './contestant.ts';

class FakeSession implements Session {
  readonly status: SessionStatus = 'idle';
  readonly client: FakeConnection = new FakeConnection();

  onLost(): void {}
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

  constructor(options: { clock?: Clock; acquireTimeoutMs?: number; dev?: boolean; budget?: Budget } = {}) {
    const driver = new InstantDriver();
    this.connections = driver.connections;
    this.pool = new Pool({ clock: systemClock, dev: false, ...options, driver, max: MAX });
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
