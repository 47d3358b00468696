// What a session is given on its way. Types only.

import type { Socket } from 'node:net';
import type { Clock } from '../contracts/clock.ts';
import type { SetDeadline } from '../contracts/deadline.ts';
import type { Sentences } from './condemn.ts';
import type { Speaking, Spoken } from './speaker.ts';
import type { Tracks } from './tracks.ts';

/** What is left out does not matter to whoever makes the session. */
export interface PgSessionParts {
  readonly clock: Clock;
  readonly deadline?: SetDeadline | undefined;
  /** The pool's default deadline of a query. */
  readonly queryTimeoutMs?: number | undefined;
  /** How long a statement that was given up may take to be cancelled. */
  readonly returnTimeoutMs?: number | undefined;
  /** The pool's name, for errors. */
  readonly pool?: string | undefined;
  /** What the server reported of itself while the session began. */
  readonly parameters?: ReadonlyMap<string, string> | undefined;
  readonly condemn?: Sentences | undefined;
  /** What the codec needs to speak; pg does for all otherwise. */
  readonly speaking?: Speaking | undefined;
  /** Where it is counted who speaks. */
  readonly spoken?: Spoken | undefined;
  /** Who watches what statements leave behind; nobody does otherwise. */
  readonly tracks?: Tracks | undefined;
  /** Sees each text before it is sent. */
  readonly watch?: { sending(text: string): void } | undefined;
  /**
   * The server's process behind the session, if that is not what the server's key says: behind a pooler the key is the pooler's.
   * Null: it may be another one for each transaction.
   */
  readonly backend?: number | null | undefined;
  /** What makes the sockets, if Node does not. */
  readonly stream?: (() => Socket) | undefined;
}
