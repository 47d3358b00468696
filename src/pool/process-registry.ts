// What all copies of this package in one process share: the pools that have a key, and those in use. Owns its place on `globalThis` and
// its shape, which stays as it is within v1. What stands there may be of another copy, or of a stranger; it is looked at before it is used.

/** Another major has another number: they do not meet. */
const PLACE = Symbol.for('oxbow.pools/v1');

/** Of a pool we only know here that it is an object: it may be of another copy's class. */
export interface ProcessRegistry {
  /** Key of `globalPool` → its pool. */
  readonly keyed: Map<string, object>;
  /** Settings → the pools in use with them, none of them held. */
  readonly used: Map<string, Set<WeakRef<object>>>;
  /** Settings about which somebody was warned. */
  readonly warned: Set<string>;
}

const METHODS = { keyed: ['get', 'set', 'delete'], used: ['get', 'set', 'delete'], warned: ['has', 'add'] } as const;

/** By its methods, not by its classes: it may have been made in another realm. */
function isRegistry(found: unknown): found is ProcessRegistry {
  if (typeof found !== 'object' || found === null) return false;
  return Object.entries(METHODS).every(([part, methods]) => {
    const value: unknown = Reflect.get(found, part);
    if (typeof value !== 'object' || value === null) return false;
    return methods.every((method) => typeof Reflect.get(value, method) === 'function');
  });
}

let own: ProcessRegistry | undefined;

export function processRegistry(): ProcessRegistry {
  const found: unknown = Reflect.get(globalThis, PLACE);
  if (isRegistry(found)) return found;
  own ??= { keyed: new Map(), used: new Map(), warned: new Set() };
  // Where globals are frozen, each copy has its own.
  Reflect.defineProperty(globalThis, PLACE, { value: own, configurable: true, writable: true, enumerable: false });
  return own;
}
