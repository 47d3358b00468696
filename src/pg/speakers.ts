// Who speaks on the connections of one pool, and why. Owns what its sessions share for it: the memory of texts, the piece of memory that
// messages are put together in, the count of who spoke. Whose the socket of a single connection is, is known there.

import type pg from 'pg';
import { Codec } from './codec.ts';
import { recognise } from './known-pg.ts';
import { Outgoing } from './outgoing.ts';
import { internals } from './shapes.ts';
import type { Speaking, Spoken } from './speaker.ts';
import { type Prepare, Texts } from './texts.ts';

export class Speakers {
  readonly spoken: Spoken = { byCodec: 0, byPg: 0, prepared: 0 };
  /** Why pg speaks on the connection that was opened last; undefined: the codec does. */
  why: string | undefined;
  readonly #out = new Outgoing();
  readonly #texts: Texts;
  readonly #wanted: 'auto' | 'pg';

  constructor(wanted: 'auto' | 'pg', prepare: Prepare) {
    this.#wanted = wanted;
    this.#texts = new Texts(prepare);
    this.why = wanted === 'pg' ? 'the option "speaker" says so' : undefined;
  }

  /** What the codec needs to speak on a connection that was just opened; undefined if pg is to. */
  of(client: pg.Client, behindTransactionPooler: boolean): Speaking | undefined {
    if (this.#wanted === 'pg') return undefined;
    const inside = internals(client);
    const found = recognise(client);
    if ('why' in found) this.why = found.why;
    else if (inside.pipeline === true) this.why = 'the client has the option "pipeline"';
    else if (inside.binary === true) this.why = 'the client has the option "binary"';
    else if (inside.query !== found.parts.query) this.why = "the client's query() was replaced, as a tracer does";
    else this.why = Codec.unfit(inside.connection);
    if ('why' in found || this.why !== undefined) return undefined;
    const [out, texts, spoken] = [this.#out, this.#texts, this.spoken];
    return { parts: found.parts, out, texts, spoken, prepares: !behindTransactionPooler };
  }
}
