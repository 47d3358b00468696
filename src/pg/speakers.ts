// Who speaks on the connections of one pool, and why. Owns what its sessions share for it: the memory of texts, the piece of memory that
// messages are put together in, the count of who spoke. Whose the socket of a single connection is, is known there.

import { Socket } from 'node:net';
import type pg from 'pg';
import { Codec } from './codec.ts';
import type { Hearer } from './hearer.ts';
import { type PgParts, recognise } from './known-pg.ts';
import { leanSocket } from './lean-socket.ts';
import { Outgoing } from './outgoing.ts';
import { internals } from './shapes.ts';
import type { Speaking, Spoken } from './speaker.ts';
import { type Prepare, Texts } from './texts.ts';

export class Speakers {
  readonly spoken: Spoken = { byCodec: 0, byPg: 0, prepared: 0 };
  readonly #out = new Outgoing();
  readonly #texts: Texts;
  /** The codec may speak where it can. */
  readonly #asked: boolean;
  readonly #tell: ((text: string) => void) | undefined;
  readonly #hearer: Hearer | undefined;
  /** Why pg speaks on the connection that was opened last; undefined: the codec does. Null: none was opened. */
  #why: string | undefined | null = null;
  /** That connection's client; whoever has lost it does not keep it. */
  #latest: WeakRef<pg.Client> | undefined;

  /** `tell` is told when it turns out that the codec cannot speak, and why; `hearer` of each query that it speaks. */
  constructor(wanted: 'auto' | 'pg', prepare: Prepare, tell?: (text: string) => void, hearer?: Hearer) {
    this.#hearer = hearer;
    this.#texts = new Texts(prepare);
    this.#tell = tell;
    if (wanted === 'pg') this.#why = 'the option "speaker" says so';
    this.#asked = wanted === 'auto';
  }

  /** Who speaks for ordinary queries on the connection that was opened last, and if it is pg why; undefined before there was one. */
  get speaker(): { who: 'codec' | 'pg'; why?: string } | undefined {
    if (this.#why === null) return undefined;
    const client = this.#latest?.deref();
    // A tracer may have come since.
    const why = this.#why ?? (client === undefined ? undefined : whyNotNow(client));
    return why === undefined ? { who: 'codec' } : { who: 'pg', why };
  }

  /** Whether the codec could speak on the connection that was opened last, when it was opened. */
  get codec(): boolean {
    return this.#why === undefined;
  }

  get figures(): { queriesByCodec: number; queriesByPg: number; queriesPrepared: number } {
    const { byCodec, byPg, prepared } = this.spoken;
    return { queriesByCodec: byCodec, queriesByPg: byPg, queriesPrepared: prepared };
  }

  /** What was counted, from zero on again. */
  clear(): void {
    Object.assign(this.spoken, { byCodec: 0, byPg: 0, prepared: 0 });
  }

  /** Ahead of its connecting: where the codec is to speak and Node makes the socket, that is one which reads as cheaply as can be. */
  furnish(client: pg.Client): void {
    const { connection } = internals(client);
    if (!this.#asked || connection.ssl || connection.stream.constructor !== Socket || 'why' in recognise(client))
      return;
    connection.stream = leanSocket() ?? connection.stream;
  }

  /** What the codec needs to speak on a connection that was just opened; undefined if pg is to. */
  of(client: pg.Client, behindTransactionPooler: boolean): Speaking | undefined {
    if (!this.#asked) return undefined;
    const found = recognise(client);
    const why = 'why' in found ? found.why : whyNot(client, found.parts);
    this.#latest = new WeakRef(client);
    if (why !== this.#why) {
      this.#why = why;
      if (why !== undefined) this.#tell?.(`pg speaks for queries, not the codec: ${why}`);
    }
    if ('why' in found || why !== undefined) return undefined;
    const [out, texts, spoken, hearer] = [this.#out, this.#texts, this.spoken, this.#hearer];
    return { parts: found.parts, out, texts, spoken, hearer, prepares: !behindTransactionPooler };
  }
}

const QUERY_REPLACED = "the client's query() was replaced, as a tracer does";

/** What speaks against the codec on this one client, of a class that is known. */
function whyNot(client: pg.Client, { query }: PgParts): string | undefined {
  const inside = internals(client);
  if (inside.pipeline === true) return 'the client has the option "pipeline"';
  if (inside.binary === true) return 'the client has the option "binary"';
  if (inside.query !== query) return QUERY_REPLACED;
  return Codec.unfit(inside.connection);
}

function whyNotNow(client: pg.Client): string | undefined {
  const found = recognise(client);
  if ('why' in found) return found.why;
  const own = internals(client).query === found.parts.query;
  return own ? undefined : QUERY_REPLACED;
}
