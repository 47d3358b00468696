// What has happened so far: plain integers, three histograms and two moving averages. Owns the arithmetic only.

import type { RefusalReason, RetireReason } from '../contracts/figures.ts';
import { Average } from '../foundation/average.ts';
import { Histogram } from '../foundation/histogram.ts';

export class Counters {
  requests = 0;
  requestsQueued = 0;
  requestsFailed: Partial<Record<RefusalReason, number>> = {};
  connects = 0;
  connectsFailed = 0;
  connectionsLost = 0;
  returns = 0;
  returnsBad = 0;
  rolledBack = 0;
  reset = 0;
  cancelled = 0;
  retired: Partial<Record<RetireReason, number>> = {};
  leaksReported = 0;
  leasesReclaimed = 0;
  readonly waitMs: Histogram = new Histogram();
  /** Its `lately` is knowledge, not a counter: it stays when the rest is cleared. */
  readonly useMs: Histogram = new Histogram(new Average());
  readonly connectMs: Histogram = new Histogram();
  /** Served at once since the last reading: a plain integer on the fast path, entered into `waitMs` when read. */
  served = 0;
  /** How long connects and liveness checks have lately taken. */
  readonly connect: Average = new Average();
  readonly roundTrip: Average = new Average();

  refused(reason: RefusalReason): void {
    this.requestsFailed[reason] = (this.requestsFailed[reason] ?? 0) + 1;
  }

  retiredFor(reason: RetireReason): void {
    this.retired[reason] = (this.retired[reason] ?? 0) + 1;
  }

  /** Zeroes the counters and distributions; the averages are knowledge, not counters, and stay. */
  clear(): void {
    this.requests = 0;
    this.requestsQueued = 0;
    this.requestsFailed = {};
    this.connects = 0;
    this.connectsFailed = 0;
    this.connectionsLost = 0;
    this.returns = 0;
    this.returnsBad = 0;
    this.rolledBack = 0;
    this.reset = 0;
    this.cancelled = 0;
    this.retired = {};
    this.leaksReported = 0;
    this.leasesReclaimed = 0;
    this.served = 0;
    this.waitMs.clear();
    this.useMs.clear();
    this.connectMs.clear();
  }
}
