// A pooler between the pool and the server, such as PgBouncer: whether there is one, and what cannot work through it. Owns the sign by
// which it is known and what is said about it; where that leads is decided where connections are made.

import type pg from 'pg';
import { AS_TEXT } from './as-text.ts';
import { internals } from './shapes.ts';
import { step } from './steps.ts';
import { sessionStateIn } from './traces.ts';

/** The option: what the user knows of it. */
export type PoolerOption = 'auto' | 'none' | 'session' | 'transaction';

/** What was asked of the pool that needs a server session of one's own. */
export interface Wishes {
  readonly reset: boolean;
  readonly configure: boolean;
}

/** Says something once to whoever reads reports. */
export type Tell = (message: string) => void;

/** Distinct texts looked at; texts with values in them must not fill the memory. */
const REMEMBERED = 2_000;

/**
 * The server's process behind a client. The key that a pooler gives to its clients is its own, and so is the process id in it: the two
 * differ behind a pooler and nowhere else. Undefined where the server has no such function.
 */
export async function backendOf(client: pg.Client): Promise<number | undefined> {
  const asked = client.query({ text: 'SELECT pg_catalog.pg_backend_pid()', rowMode: 'array', types: AS_TEXT });
  try {
    const [row] = (await step('query', asked)).rows;
    const pid = Number(row?.[0]);
    return Number.isInteger(pid) ? pid : undefined;
  } catch (error) {
    // A server that answers with an error is no PostgreSQL, but it is there; a connection that is gone is the caller's affair.
    if (typeof error === 'object' && error !== null && Reflect.get(error, 'severity') === 'ERROR') return undefined;
    throw error;
  }
}

export function isPooled(client: pg.Client, backend: number | undefined): boolean {
  const { processID } = internals(client);
  return backend !== undefined && processID !== null && backend !== processID;
}

/** Watches what goes through a transaction pooler, where each transaction may meet another server. */
export class TransactionPooler {
  readonly #tell: Tell;
  readonly #seen = new Set<string>();
  readonly #told = new Set<string>();

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  /** A text is sent. */
  sending(text: string): void {
    if (this.#seen.has(text)) return;
    if (this.#seen.size >= REMEMBERED) this.#seen.clear();
    this.#seen.add(text);
    for (const kind of sessionStateIn(text)) {
      if (this.#told.has(kind)) continue;
      this.#told.add(kind);
      this.#tell(
        `${kind} was sent through a transaction pooler, where the next transaction may meet another server: ${INSTEAD[kind]}`,
      );
    }
  }
}

const INSTEAD: Readonly<Record<ReturnType<typeof sessionStateIn>[number], string>> = {
  SET: 'use transaction({ settings }) or SET LOCAL inside a transaction',
  LISTEN: 'its notifications are lost; listen over a connection that goes to the server itself',
  PREPARE: 'let the driver prepare, or connect to the server itself',
  'advisory lock': 'use pg_advisory_xact_lock() inside a transaction',
  'temporary table': 'create and use it inside one transaction, ON COMMIT DROP',
  'cursor WITH HOLD': 'read it inside one transaction, without HOLD',
};

/** What is told of a pooler when it is met. */
export function whatCannotWork(found: boolean, { reset, configure }: Wishes): string | undefined {
  const lost = [
    ...(reset ? ['sessions are not reset on return (`reset`): that would reach another server'] : []),
    ...(configure ? ['what `configure` sets may reach other clients and not this one'] : []),
  ];
  if (!found && lost.length === 0) return undefined;
  const general =
    'LISTEN, session settings, session advisory locks, PREPARE and temporary tables do not work across transactions, and a silent statement ' +
    'is not looked up (`silentAfterMs`)';
  const how = found
    ? "a pooler was found between the pool and the server, and transaction pooling is assumed (option `pooler`: 'session' if each client keeps its server, 'transaction' if this is known)"
    : "behind a transaction pooler (option `pooler`: 'transaction')";
  return `${how}: ${[...lost, general].join('; ')}`;
}
