// What can be told of a value down to what nobody should look at: classes, keys in their order, property descriptors, the same object met
// twice. Owns that two values with equal portraits cannot be told apart by their reader, stacks and functions made for one call left out.

const classes = new WeakMap<object, number>();
let known = 0;

/** Two copies of one class are two classes. */
function classOf(prototype: object | null): string {
  if (prototype === null) return 'null';
  let number = classes.get(prototype);
  if (number === undefined) {
    known += 1;
    number = known;
    classes.set(prototype, number);
  }
  const maker: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return `${typeof maker === 'function' ? maker.name : '?'} (class ${number})`;
}

export interface PortraitOptions {
  /** Functions are told of by their text. */
  readonly closures?: boolean | undefined;
  /** Which table a column comes from, or is of the type of, is not looked at: it was made anew in between. */
  readonly anyTable?: boolean | undefined;
}

/** What `assert.deepStrictEqual` is to compare. */
export function portrait(value: unknown, { closures = false, anyTable = false }: PortraitOptions = {}): unknown {
  const seen = new Map<object, number>();

  function property(owner: object, key: string | symbol): unknown[] {
    const {
      value: held,
      get,
      set,
      writable,
      enumerable,
      configurable,
    } = Object.getOwnPropertyDescriptor(owner, key) ?? {};
    const flags = [writable && 'writable', enumerable && 'enumerable', configurable && 'configurable'];
    const told = [String(key), flags.filter(Boolean).join(' ')];
    // Where it was made is asked for elsewhere.
    if (key === 'stack' && (owner instanceof Error || typeof held === 'string')) return told;
    if (anyTable && key === 'dataTypeID' && Number(held) >= 16_384) return [...told, 'a type that was made'];
    if (anyTable && key === 'tableID') return [...told, held === 0 ? 'no table' : 'a table'];
    return [...told, get === undefined && set === undefined ? drawn(held) : 'accessor'];
  }

  function drawn(one: unknown): unknown {
    if (typeof one === 'function') return closures ? `function ${String(one)}` : one;
    if (typeof one !== 'object' || one === null) return one;
    const before = seen.get(one);
    if (before !== undefined) return `the object number ${before}`;
    seen.set(one, seen.size);
    const prototype: object | null = Object.getPrototypeOf(one);
    const told = [classOf(prototype), Object.isExtensible(one) ? 'open' : 'closed'];
    // Its number, which Node puts there, is its own.
    if (one instanceof Promise) return told;
    if (Buffer.isBuffer(one)) return [...told, one.toString('latin1')];
    if (ArrayBuffer.isView(one)) return [...told, one];
    // Long plain arrays of plain values: the array itself tells all of that.
    const isFlat =
      Array.isArray(one) && one.length > 0 && one.every((item) => typeof item !== 'object' || item === null);
    if (isFlat && !closures && Object.keys(one).length === one.length) return [...told, one];
    const own = Reflect.ownKeys(one).map((key) => property(one, key));
    return one instanceof Date ? [...told, one.getTime(), own] : [...told, own];
  }

  return drawn(value);
}
