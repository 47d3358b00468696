// Who speaks for a query on one session: the codec, or pg. Owns the choice, which is pg wherever anything is unusual, and what the codec sends;
// whose the socket's bytes are is known to the codec, what a result looks like to its query.

import type { Codec } from './codec.ts';
import { CodecQuery } from './codec-query.ts';
import type { PgParts } from './known-pg.ts';
import type { NamedStatements } from './named-statements.ts';
import type { Outgoing, Wire } from './outgoing.ts';
import { Prepared } from './prepared.ts';
import type { PgInternals, ServerError, Types } from './shapes.ts';
import type { Text, Texts } from './texts.ts';

/** Bind counts its values in two bytes. */
const VALUES_MAX = 65_535;

/** A query as the codec can speak it. */
interface Asked {
  readonly text: Text;
  readonly values: readonly unknown[];
  readonly name: string | undefined;
  readonly rowMode: string | undefined;
  readonly types: Types;
}

/** How often who spoke. */
export interface Spoken {
  byCodec: number;
  byPg: number;
  /** By their own, on the server. */
  prepared: number;
}

/** What the codec needs: all of it is shared by the sessions of a pool. */
export interface Speaking {
  readonly parts: PgParts;
  readonly out: Outgoing;
  readonly texts: Texts;
  /** False where a name may reach a server that does not know it. */
  readonly prepares: boolean;
  readonly spoken: Spoken;
}

export class Speaker {
  readonly #inside: PgInternals;
  readonly #codec: Codec;
  readonly #named: NamedStatements;
  readonly #speaking: Speaking;
  readonly #sending: (text: Text) => void;
  readonly #prepared = new Prepared();

  /** `sending` is told of each statement before it goes. */
  constructor(
    inside: PgInternals,
    codec: Codec,
    named: NamedStatements,
    speaking: Speaking,
    sending: (text: Text) => void,
  ) {
    this.#inside = inside;
    this.#codec = codec;
    this.#named = named;
    this.#speaking = speaking;
    this.#sending = sending;
  }

  /**
   * Has the codec speak the query; undefined if that is not possible, and nothing was done. `idle`: outside a transaction. `unsettled`:
   * definitions may have changed in this one, so nothing that was prepared by itself is used.
   */
  speak(query: unknown, values: unknown, idle: boolean, unsettled: boolean): Promise<unknown> | undefined {
    if (!this.#codec.free) return undefined;
    const asked = this.#read(query, values);
    if (asked === undefined) return undefined;
    return new Promise((resolve, reject) => this.#send(asked, idle, unsettled, resolve, reject));
  }

  #read(query: unknown, given: unknown): Asked | undefined {
    if (typeof query === 'string') return this.#asked(query, given, undefined, undefined, undefined);
    if (typeof query !== 'object' || query === null || Object.getPrototypeOf(query) !== Object.prototype)
      return undefined;
    let text: unknown;
    let values: unknown;
    let name: unknown;
    let rowMode: unknown;
    let types: unknown;
    const config = query as Record<string, unknown>;
    for (const key in config) {
      const value = config[key];
      switch (key) {
        case 'text':
          text = value;
          break;
        case 'values':
          values = value;
          break;
        case 'name':
          name = value;
          break;
        case 'rowMode':
          rowMode = value;
          break;
        case 'types':
          types = value;
          break;
        case 'signal':
        case 'timeoutMs':
        case 'idempotent':
        case 'query_timeout':
          break;
        default:
          if (value !== undefined) return undefined;
      }
    }
    return this.#asked(text, given || values, name, rowMode, types);
  }

  /** Whatever is not certain to be what it is taken for is left to pg, whose errors are then pg's own. */
  #asked(text: unknown, values: unknown, name: unknown, rowMode: unknown, types: unknown): Asked | undefined {
    if (typeof text !== 'string' || text === '') return undefined;
    if (values && !(Array.isArray(values) && values.length <= VALUES_MAX)) return undefined;
    if (name && typeof name !== 'string') return undefined;
    if (rowMode && typeof rowMode !== 'string') return undefined;
    if (types && !isTypes(types)) return undefined;
    const known = this.#speaking.texts.of(text);
    if (!known.ordinary) return undefined;
    // A name that pg has not prepared on this connection yet, or by another text.
    if (name && this.#inside.connection.parsedStatements[name as string] !== text) return undefined;
    return {
      text: known,
      values: (values || NONE) as readonly unknown[],
      name: (name || undefined) as string | undefined,
      rowMode: (rowMode || undefined) as string | undefined,
      types: (types || this.#inside._types) as Types,
    };
  }

  #send(
    asked: Asked,
    idle: boolean,
    unsettled: boolean,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    const { text } = asked;
    const { parts, prepares, spoken, texts } = this.#speaking;
    let values: readonly Wire[];
    try {
      values = this.#wires(asked.values);
    } catch (error) {
      reject(error);
      return;
    }
    const own = prepares && asked.name === undefined && !unsettled ? texts.use(text) : undefined;
    const name = asked.name ?? own;
    const query = new CodecQuery(parts, text, name, asked.rowMode, asked.types, resolve, reject);
    if (own !== undefined) {
      spoken.prepared += 1;
      if (idle) query.refused = (error) => this.#again(error, query, asked, resolve, reject);
    }
    this.#put(text, name, values);
    this.#sending(text);
    spoken.byCodec += 1;
    this.#codec.speak(query);
  }

  /**
   * What was prepared here without having been asked for must not fail for that reason: the server refused it before it ran, outside a
   * transaction, so it is sent again by its text at the end of the reply.
   */
  #again(
    error: ServerError,
    query: CodecQuery,
    asked: Asked,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
  ): boolean {
    const gone = error.code === '26000' || error.code === '42P05';
    if (!gone && !(error.code === '0A000' && error.routine === PLAN_CHANGED)) return false;
    if (gone) this.#speaking.texts.vanished();
    query.instead = () => {
      // Somebody else's turn by now, or the end: whoever asked is told what the server said.
      if (this.#codec.free) this.#send(asked, true, true, resolve, reject);
      else reject(error);
    };
    return true;
  }

  /** A function that turns a value into a parameter may do anything: nothing is half put together meanwhile. */
  #wires(values: readonly unknown[]): readonly Wire[] {
    const { length } = values;
    const wires: Wire[] = [];
    for (let n = 0; n < length; n += 1) {
      const value = values[n];
      switch (typeof value) {
        case 'string':
          wires.push(value);
          break;
        case 'number':
        case 'bigint':
        case 'boolean':
          wires.push(String(value));
          break;
        case 'undefined':
          wires.push(null);
          break;
        default:
          wires.push(this.#speaking.parts.prepareValue(value));
      }
    }
    return wires;
  }

  #put(text: Text, name: string | undefined, values: readonly Wire[]): void {
    const { out } = this.#speaking;
    if (name === undefined && values.length === 0) {
      out.query(text.text);
      return;
    }
    if (name === undefined) out.parse('', text.text);
    else if (this.#inside.connection.parsedStatements[name] !== text.text) {
      const forgotten = this.#prepared.add(text);
      if (forgotten !== undefined) {
        out.forget(forgotten);
        delete this.#inside.connection.parsedStatements[forgotten];
      }
      if (this.#named.doubted(name)) out.forget(name);
      out.parse(name, text.text);
    } else if (name === text.name) this.#prepared.touch(text);
    out.bind(name ?? '', values);
    out.rowsAndEnd();
  }
}

const NONE: readonly unknown[] = [];

/** Where the server says that a plan it keeps does not fit the tables any more; the code alone stands for much else. */
const PLAN_CHANGED = 'RevalidateCachedQuery';

/** pg would take a length for the number of types that it is to tell the server. */
function isTypes(types: unknown): types is Types {
  if (typeof types !== 'object' || types === null || 'length' in types) return false;
  return typeof Reflect.get(types, 'getTypeParser') === 'function';
}
