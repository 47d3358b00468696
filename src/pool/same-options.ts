// Whether two sets of options, as they were written, mean the same pool. Owns what counts as equal; shows no value to anybody.

type Options = Readonly<Record<string, unknown>>;

/** What is undefined counts as left out. */
export function sameOptions(a: Options, b: Options): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => same(a[key], b[key], new Map()));
}

/**
 * Functions and classes are compared by their text: a module that is evaluated anew makes them anew. Plain objects, arrays and bytes are
 * compared by what is in them. Anything else (a logger of some class, a TLS context) has to be the same object.
 */
function same(a: unknown, b: unknown, met: Map<object, unknown>): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a === 'function' && typeof b === 'function') return sameText(String(a), String(b));
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) return sameBytes(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const terms: unknown = Reflect.get(a, 'terms');
  // A budget that says which one it is.
  if (typeof terms === 'string' && !isPlain(a)) return terms === Reflect.get(b, 'terms');
  if (!Array.isArray(a) && !(isPlain(a) && isPlain(b))) return false;
  // A circle is the same if nothing else tells them apart.
  if (met.get(a) === b) return true;
  met.set(a, b);
  const keys = Reflect.ownKeys(a);
  if (keys.length !== Reflect.ownKeys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(Reflect.get(a, key), Reflect.get(b, key), met));
}

/** A bound function has no text of its own, so it is like no other. */
function sameText(a: string, b: string): boolean {
  return a === b && !/\{\s*\[native code\]\s*\}$/.test(a);
}

function sameBytes(a: ArrayBufferView, b: ArrayBufferView): boolean {
  const bytes = (view: ArrayBufferView): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  return bytes(a).equals(bytes(b));
}

/** In whatever realm: its prototype is the last one, or it has none. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
