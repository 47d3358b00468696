// Looks for a secret in whatever a pool gives out: in each text that can be reached from a value, and in each text that is made of it. Owns what
// counts as showing a secret; what is looked at is the tests' affair.

import { inspect } from 'node:util';

/** A mark in each form in which it can be met: as it is, in a URL, quoted, or in base64 at whatever place. */
function formsOf(mark: string): string[] {
  const forms = [
    mark,
    encodeURIComponent(mark),
    encodeURI(mark),
    new URLSearchParams([['', mark]]).toString().slice(1),
  ];
  forms.push(JSON.stringify(mark).slice(1, -1), inspect(mark).slice(1, -1), mark.replaceAll("'", "''"));
  for (let shift = 0; shift < 3; shift += 1) {
    // What stands beside it in the text shares its outermost characters.
    const text = Buffer.from(`${'-'.repeat(shift)}${mark}`)
      .toString('base64')
      .replace(/=+$/, '');
    forms.push(text.slice(shift === 0 ? 0 : 4, -2));
  }
  return [...new Set(forms)];
}

export interface Looking {
  /** What is not looked into: what is somebody else's, who keeps the secret by his own contract. Default: nothing. */
  readonly except?: (value: object) => boolean;
}

interface Step {
  readonly value: unknown;
  readonly path: string;
}

class Search {
  readonly #forms: readonly string[];
  readonly #except: (value: object) => boolean;
  /** Something was met that is not looked into. */
  met = false;

  constructor(marks: readonly string[], { except = () => false }: Looking) {
    this.#forms = marks.flatMap(formsOf);
    this.#except = except;
  }

  has(text: string): boolean {
    return this.#forms.some((form) => text.includes(form));
  }

  /** Each own property, hidden ones and symbols too, of whatever can be reached; getters of errors are asked. */
  walk(root: unknown): string | undefined {
    const seen = new Set<object>();
    const steps: Step[] = [{ value: root, path: '' }];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      const { value, path } = step;
      if (typeof value === 'string' && this.has(value)) return path;
      if (typeof value === 'symbol' && this.has(value.toString())) return path;
      if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
      seen.add(value);
      if (this.#except(value)) {
        this.met = true;
        continue;
      }
      if (ArrayBuffer.isView(value)) {
        const { buffer, byteOffset, byteLength } = value;
        if (this.has(Buffer.from(buffer, byteOffset, byteLength).toString('latin1'))) return path;
        continue;
      }
      steps.push(...next(value, path));
      for (const key of Reflect.ownKeys(value)) if (this.has(String(key))) return `${path} (a key)`;
    }
    return undefined;
  }

  /** What is seen by whoever prints it, however he does. */
  printed(value: unknown): string | undefined {
    const ways: Record<string, () => string> = {
      'String()': () => String(value),
      'JSON.stringify()': () => JSON.stringify(value) ?? '',
      'inspect()': () => inspect(value, { depth: 8 }),
    };
    // With hidden ones only where all there is may be looked into.
    if (!this.met)
      ways['inspect({ showHidden })'] = () =>
        inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null });
    for (const [how, print] of Object.entries(ways)) if (this.has(attempted(print))) return how;
    return undefined;
  }
}

function attempted(print: () => string): string {
  try {
    return print();
  } catch (error) {
    // A circle; what cannot be printed shows nothing, but its error may.
    return String(error);
  }
}

function next(value: object, path: string): Step[] {
  const found: Step[] = [];
  for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(value)))
    found.push({ value: read(value, property), path: `${path}.${key}` });
  for (const key of Object.getOwnPropertySymbols(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (property !== undefined) found.push({ value: read(value, property), path: `${path}[${String(key)}]` });
  }
  if (value instanceof Error)
    for (const key of ['name', 'message', 'stack', 'cause', 'docs'])
      found.push({ value: Reflect.get(value, key), path: `${path}.${key}` });
  if (value instanceof Map)
    for (const [key, inside] of value)
      found.push({ value: key, path: `${path}.key` }, { value: inside, path: `${path}.get()` });
  if (value instanceof Set) for (const inside of value) found.push({ value: inside, path: `${path}.member` });
  return found;
}

function read(value: object, property: PropertyDescriptor): unknown {
  if ('value' in property) return property.value;
  // Of anything else a getter gives what it gives by contract.
  return value instanceof Error ? Reflect.apply(property.get ?? (() => undefined), value, []) : undefined;
}

/** Where one of the marks shows in `value`, as a path or as the way of printing; undefined if nowhere. */
export function findSecret(value: unknown, marks: readonly string[], looking: Looking = {}): string | undefined {
  const search = new Search(marks, looking);
  return search.walk(value) ?? search.printed(value);
}
