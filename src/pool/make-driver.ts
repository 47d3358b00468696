// What opens a pool's sessions: the user's driver, or ours over the user's pg. Owns the wiring only.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import type { SetDeadline } from '../contracts/deadline.ts';
import type { Driver } from '../contracts/driver.ts';
import { PgDriver } from '../pg/driver.ts';
import type { Hearer } from '../pg/hearer.ts';
import type { PgSession } from '../pg/session.ts';
import type { ClientClass } from '../pg/shapes.ts';
import type { Speakers } from '../pg/speakers.ts';
import { debugLine } from './debug-log.ts';
import type { PoolSettings } from './options.ts';

export interface Making {
  readonly Client: ClientClass;
  readonly clock: Clock;
  readonly deadline: SetDeadline;
  readonly pooled: Map<string, boolean> | undefined;
  readonly hearer: Hearer;
  /** What is to be said about a pooler. */
  readonly tell: (message: string) => void;
}

/** The driver, and who speaks on its connections where that is known. */
export function makeDriver(
  { options, client, driving, settings }: PoolSettings,
  { Client, clock, deadline, pooled, hearer, tell }: Making,
): { readonly driver: Driver<PgSession>; readonly speakers: Speakers | undefined } {
  if (options.driver !== undefined) return { driver: options.driver as Driver<PgSession>, speakers: undefined };
  const { connection, ...config } = client;
  const driver = new PgDriver({
    ...driving,
    Client,
    config: config as pg.ClientConfig,
    connection: connection as (() => unknown) | undefined,
    clock,
    deadline,
    pooled,
    hearer,
    tellSpeaker: debugLine(settings.name, options.logger),
    tell,
  });
  return { driver, speakers: driver.speakers };
}
