// A query as it was asked for, in whatever way pg takes it, and what of it the codec can speak. Owns the reading of it: whatever is not certain to
// be what it is taken for is left to pg, whose errors are then pg's own. Sends nothing.

import type { Wire } from './outgoing.ts';
import type { PgInternals, Types } from './shapes.ts';
import type { Text, Texts } from './texts.ts';

/** Bind counts its values in two bytes. */
const VALUES_MAX = 65_535;

const NONE: readonly never[] = [];

/** A query as the codec can speak it. */
export interface Asked {
  readonly text: Text;
  readonly values: readonly Wire[];
  readonly name: string | undefined;
  readonly rowMode: string | undefined;
  readonly types: Types;
  /** As many values as the text has parameters: else the server's error would tell of a name that nobody has given. */
  readonly fits: boolean;
}

type PrepareValue = (value: unknown) => unknown;

/** Undefined: it is for pg. Throws what a value throws that is turned into a parameter. */
export function asking(
  query: unknown,
  given: unknown,
  texts: Texts,
  inside: PgInternals,
  prepareValue: PrepareValue,
): Asked | undefined {
  let text: unknown = query;
  let values: unknown = given;
  let name: unknown;
  let rowMode: unknown;
  let types: unknown;
  if (typeof query === 'object') {
    if (query === null || Object.getPrototypeOf(query) !== Object.prototype) return undefined;
    const config = query as Record<string, unknown>;
    text = undefined;
    for (const key in config) {
      const value = config[key];
      switch (key) {
        case 'text':
          text = value;
          break;
        case 'values':
          values = given || value;
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
  }
  if (typeof text !== 'string' || text === '') return undefined;
  if (values && !(Array.isArray(values) && values.length <= VALUES_MAX)) return undefined;
  if (name && typeof name !== 'string') return undefined;
  if (rowMode && typeof rowMode !== 'string') return undefined;
  if (types && !isTypes(types)) return undefined;
  const known = texts.of(text);
  if (!known.ordinary) return undefined;
  const list = (values || NONE) as readonly unknown[];
  // The simple protocol has its own error for this.
  if (known.parameters > 0 && list.length === 0) return undefined;
  // A name that pg has not prepared on this connection yet, or by another text.
  if (name && inside.connection.parsedStatements[name as string] !== text) return undefined;
  return {
    text: known,
    values: list.length === 0 ? NONE : wires(list, prepareValue),
    name: (name || undefined) as string | undefined,
    rowMode: (rowMode || undefined) as string | undefined,
    types: (types || inside._types) as Types,
    fits: known.parameters === list.length,
  };
}

function wires(values: readonly unknown[], prepareValue: PrepareValue): readonly Wire[] {
  const { length } = values;
  const found: Wire[] = new Array(length);
  for (let n = 0; n < length; n += 1) {
    const value = values[n];
    switch (typeof value) {
      case 'string':
        found[n] = value;
        break;
      case 'number':
      case 'bigint':
      case 'boolean':
        found[n] = String(value);
        break;
      case 'undefined':
        found[n] = null;
        break;
      default:
        found[n] = wireOf(prepareValue(value));
    }
  }
  return found;
}

/** An object may turn itself into anything: into nothing, which pg sends as null, or into what cannot be sent. */
function wireOf(prepared: unknown): Wire {
  if (typeof prepared === 'string' || prepared instanceof Buffer) return prepared;
  if (prepared === null || prepared === undefined) return null;
  throw new TypeError(`a value of a query was turned into a ${typeof prepared}, which is neither text nor a Buffer`);
}

/** pg would take a length for the number of types that it is to tell the server. */
function isTypes(types: unknown): types is Types {
  if (typeof types !== 'object' || types === null || 'length' in types) return false;
  return typeof Reflect.get(types, 'getTypeParser') === 'function';
}
