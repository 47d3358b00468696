// Who speaks for a query on one session: the codec, or pg. Owns the choice, which is pg wherever anything is unusual, and what the codec sends;
// whose the socket's bytes are is known to the codec, what a result looks like to its query.

import type { Codec } from './codec.ts';
import { CodecQuery } from './codec-query.ts';
import { declaresReadOnly, type ReadOnly } from './condemn.ts';
import type { PgParts } from './known-pg.ts';
import type { NamedStatements } from './named-statements.ts';
import type { Opening } from './opening.ts';
import type { Outgoing, Wire } from './outgoing.ts';
import { Prepared } from './prepared.ts';
import type { PgInternals, PgQuery, ServerError, Types } from './shapes.ts';
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
  /** By its text, for the name it had was refused. */
  readonly plain: boolean;
}

type Resolve = (result: unknown) => void;
type Reject = (error: unknown) => void;

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
  readonly #sending: (text: string, declares: ReadOnly) => void;
  readonly #prepared = new Prepared();
  /** pg has sent something since the session was idle last: it may have changed a definition, so what was prepared may not fit. */
  #unsettled = false;
  #opening: Opening | undefined;

  /** `sending` is told of each statement before it goes. */
  constructor(
    inside: PgInternals,
    codec: Codec,
    named: NamedStatements,
    speaking: Speaking,
    sending: (text: string, declares: ReadOnly) => void,
  ) {
    this.#inside = inside;
    this.#codec = codec;
    this.#named = named;
    this.#speaking = speaking;
    this.#sending = sending;
    const pulse = inside._pulseQueryQueue;
    inside._pulseQueryQueue = () => {
      if (this.#opening !== undefined) this.#openForPg(this.#opening);
      pulse.call(inside);
    };
  }

  /** pg sends something. */
  pgSends(): void {
    this.#unsettled = true;
  }

  /** At rest outside a transaction. */
  atRest(): void {
    this.#unsettled = false;
  }

  /** A transaction is begun with the first statement that comes, whoever sends it. Only on a session that is idle. */
  open(opening: Opening): void {
    this.#opening = opening;
  }

  /** It is not to be begun any more. */
  leave(opening: Opening): void {
    if (this.#opening === opening) this.#opening = undefined;
  }

  /**
   * Has the codec speak the query and answers by one of the functions; false if that is not possible, and nothing was done. `idle`: outside a
   * transaction.
   */
  speak(query: unknown, values: unknown, idle: boolean, resolve: Resolve, reject: Reject): boolean {
    if (this.#opening?.obsolete === true) this.#opening = undefined;
    const opening = this.#opening;
    if (opening?.state === 'failed') {
      reject(opening.error);
      return true;
    }
    if (!this.#codec.free) return false;
    const asked = this.#read(query, values);
    if (asked === undefined) return false;
    this.#send(asked, idle, opening, resolve, reject);
    return true;
  }

  /** pg is about to begin what is queued. What begins the transaction goes ahead; where that has failed nothing goes at all. */
  #openForPg(opening: Opening): void {
    const queue = this.#inside._queryQueue ?? [];
    if (queue.length === 0) return;
    if (opening.obsolete) this.#opening = undefined;
    else if (opening.state === 'failed') {
      for (const query of queue.splice(0) as PgQuery[])
        queueMicrotask(() => query.handleError(opening.error as Error, this.#inside.connection));
    } else if (opening.state === 'wanted') {
      opening.state = 'sent';
      const { begin, settings } = opening.beginning;
      const done = (error: unknown): void => (error ? opening.failed(error) : opening.begun());
      const { Query } = this.#speaking.parts;
      const last = settings === undefined ? undefined : new Query(settings.text, [...settings.values], done);
      const first = new Query(begin, [], last === undefined ? done : (error) => error && opening.failed(error));
      queue.unshift(...(last === undefined ? [first] : [first, last]));
    }
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
    const wires = (values || NONE) as readonly unknown[];
    // The simple protocol has its own error for this.
    if (known.parameters && wires.length === 0) return undefined;
    // A name that pg has not prepared on this connection yet, or by another text.
    if (name && this.#inside.connection.parsedStatements[name as string] !== text) return undefined;
    return {
      text: known,
      values: wires,
      name: (name || undefined) as string | undefined,
      rowMode: (rowMode || undefined) as string | undefined,
      types: (types || this.#inside._types) as Types,
      plain: false,
    };
  }

  #send(asked: Asked, idle: boolean, opening: Opening | undefined, resolve: Resolve, reject: Reject): void {
    const { plain, text } = asked;
    const { parts, prepares, spoken, texts } = this.#speaking;
    let values: readonly Wire[];
    try {
      values = this.#wires(asked.values);
    } catch (error) {
      reject(error);
      return;
    }
    const outside = idle && opening === undefined;
    // Inside a transaction a plan that does not fit any more would cost all of it.
    const prepared = prepares && !plain && asked.name === undefined && !this.#unsettled && (outside || !text.starred);
    const own = prepared ? texts.use(text) : undefined;
    const name = asked.name ?? own;
    const query = new CodecQuery(parts, text, name, asked.rowMode, asked.types, resolve, reject);
    if (own !== undefined) {
      spoken.prepared += 1;
      if (outside) query.refused = (error) => this.#again(error, query, asked, resolve, reject);
    }
    this.#put(query, values, opening);
    this.#sending(text.text, text.declares);
    spoken.byCodec += 1;
    this.#codec.speak(query);
  }

  /**
   * What was prepared here without having been asked for must not fail for that reason: the server refused it before it ran, outside a
   * transaction, so it is sent again by its text at the end of the reply.
   */
  #again(error: ServerError, query: CodecQuery, asked: Asked, resolve: Resolve, reject: Reject): boolean {
    const gone = error.code === '26000' || error.code === '42P05';
    if (!gone && !(error.code === '0A000' && error.routine === PLAN_CHANGED)) return false;
    if (gone) this.#speaking.texts.vanished();
    query.instead = () => {
      // Somebody else's turn by now, or the end: whoever asked is told what the server said.
      if (this.#codec.free) this.#send({ ...asked, plain: true }, true, undefined, resolve, reject);
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

  #put(query: CodecQuery, values: readonly Wire[], opening: Opening | undefined): void {
    const { out } = this.#speaking;
    const { name, text } = query;
    if (name === undefined && values.length === 0 && opening === undefined) {
      out.query(text.text);
      return;
    }
    const parsed = name !== undefined && this.#inside.connection.parsedStatements[name] === text.text;
    if (parsed && name === text.name) this.#prepared.touch(text);
    // Ahead of all that may fail: what is closed here has to be closed there.
    if (!parsed && name !== undefined) this.#makeRoom(name, text);
    if (opening !== undefined) this.#open(query, opening);
    if (!parsed) out.parse(name ?? '', text.text);
    out.bind(name ?? '', values);
    out.rowsAndEnd();
  }

  #makeRoom(name: string, text: Text): void {
    const { out } = this.#speaking;
    const forgotten = this.#prepared.add(text);
    if (forgotten !== undefined) {
      out.forget(forgotten);
      delete this.#inside.connection.parsedStatements[forgotten];
    }
    if (this.#named.doubted(name)) out.forget(name);
  }

  /** In one reply with the statement: the server passes over that if one of these fails. */
  #open(query: CodecQuery, opening: Opening): void {
    const { begin, settings } = opening.beginning;
    query.opening = opening;
    query.ahead = opening.put(this.#speaking.out);
    opening.state = 'sent';
    this.#sending(begin, declaresReadOnly(begin));
    if (settings !== undefined) this.#sending(settings.text, 'no');
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
