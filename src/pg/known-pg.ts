// Which copies of pg the codec may stand in for, and what it uses of them. Owns the recognition: by the text of pg's own classes, which is the
// same in each installation of a version and another as soon as somebody has changed it. Whether the codec then speaks is decided elsewhere.

import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Wire } from './outgoing.ts';
import { type FieldClass, internals, type ResultClass } from './shapes.ts';

/**
 * The first sixteen digits of the SHA-256 of the text of pg's classes Client, Query, Result and Connection, by version; the suite `pg-versions`
 * runs the conformance tests with each.
 */
const KNOWN: Readonly<Record<string, string>> = {
  '8.17.0': 'c2aa9b5d8159c81f',
  '8.17.2': '44bc41dc24e0f6f9',
  '8.18.0': 'cb4722a7a4497096',
  '8.19.0': '4d319ede731ffd60',
  '8.21.0': '9a283d2eda940ee5',
  '8.22.0': '3f26cd1491f962a8',
  '8.23.0': 'd91933b142e068e5',
  '8.23.1': '4c0df9254f1aa4fe',
};

/** What the codec uses of the copy of pg that a client comes from. */
export interface PgParts {
  readonly Query: (new (
    text: string,
    values: unknown[],
    callback: (error: unknown) => void,
  ) => object) & { readonly prototype: { readonly submit?: unknown } };
  readonly Result: ResultClass;
  readonly Field: FieldClass;
  /** How pg makes a parameter of a value. */
  readonly prepareValue: (value: unknown) => Wire;
  /** pg's own `query`: whoever puts another in its place wants to see each query. */
  readonly query: unknown;
  /** How pg begins a query, looked at for the same reason. */
  readonly submit: unknown;
  /** Each method of its classes that the codec stands in for. */
  readonly methods: readonly Method[];
  readonly version: string;
}

interface Method {
  readonly of: object;
  readonly name: string;
  readonly value: unknown;
}

/** What the codec needs, or why it cannot speak. */
export type Recognition = { readonly parts: PgParts } | { readonly why: string; readonly passing?: true };

type AnyClass = abstract new (...args: never[]) => object;

const recognised = new WeakMap<AnyClass, Recognition>();

/** Looks at each class until it is known, and then at whether a method was replaced since. */
export function recognise(client: pg.Client): Recognition {
  const Client = client.constructor as AnyClass;
  let found = recognised.get(Client);
  if (found === undefined) {
    found = examined(Client, internals(client).connection.constructor as AnyClass);
    // A tracer may go again; a text stays what it is.
    if (!('passing' in found)) recognised.set(Client, found);
  }
  if ('why' in found) return found;
  const changed = found.parts.methods.find(({ of, name, value }) => Reflect.get(of, name) !== value);
  return changed === undefined ? found : { why: notItsOwn(changed.of.constructor.name, changed.name), passing: true };
}

function notItsOwn(Class: string, method: string): string {
  return `${Class}.prototype.${method} is not pg's own, as when a tracer wants to see each query`;
}

function examined(Client: AnyClass, Connection: AnyClass): Recognition {
  try {
    return taken(Client, Connection);
  } catch (error) {
    return {
      why: `this pg is put together in an unknown way: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** pg's class of queries, as far as it is of use here. */
interface QueryObject {
  readonly _result: { readonly constructor: ResultClass };
  prepare(connection: object): void;
}

type QueryClass = new (config: object) => QueryObject;

function taken(Client: AnyClass, Connection: AnyClass): Recognition {
  if (!Object.hasOwn(Client, 'Query')) return { why: "the client is not of pg's own class" };
  const Query = Reflect.get(Client, 'Query') as QueryClass;
  const { _result: result } = new Query({ text: '' });
  const Result = result.constructor;
  const classes = { Client, Query, Result, Connection };
  for (const [name, Class] of Object.entries(classes)) {
    const method = replaced(Class);
    if (method !== undefined) return { why: notItsOwn(name, method), passing: true };
  }
  const digest = createHash('sha256').update(Object.values(classes).map(String).join('\n')).digest('hex').slice(0, 16);
  const version = Object.keys(KNOWN).find((one) => KNOWN[one] === digest);
  if (version === undefined)
    return { why: `this version of pg is none of those that the codec was tested with (its fingerprint is ${digest})` };
  const query: unknown = Reflect.get(Client.prototype as object, 'query');
  return {
    parts: {
      Query: Query as unknown as PgParts['Query'],
      Result,
      Field: fieldOf(Connection),
      prepareValue: preparing(Query),
      query,
      submit: Reflect.get(Query.prototype as object, 'submit'),
      methods: Object.values(classes).flatMap(methodsOf),
      version,
    },
  };
}

function methodsOf({ prototype }: AnyClass): Method[] {
  const of = prototype as object;
  const methods = Object.entries(Object.getOwnPropertyDescriptors(of)).filter(
    ([, { value }]) => typeof value === 'function',
  );
  return methods.map(([name, { value }]) => ({ of, name, value }));
}

/** A method of a class that is not the one in its text. */
function replaced(Class: AnyClass): string | undefined {
  const text = String(Class);
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Class.prototype as object));
  return methods.find(
    // What it says of itself does not count, nor that it stands behind an accessor.
    ([name, { value, get = value }]) =>
      name !== 'constructor' && typeof get === 'function' && !text.includes(Function.prototype.toString.call(get)),
  )?.[0];
}

/** pg hands it to its connection with each statement. */
function preparing(Query: QueryClass): (value: unknown) => Wire {
  let found: unknown;
  const nothing = (): void => {};
  const bind = ({ valueMapper }: { valueMapper: unknown }): void => {
    found = valueMapper;
  };
  const connection = { parsedStatements: {}, submittedNamedStatements: {}, parse: nothing, bind };
  new Query({ text: 'select $1', values: ['1'] }).prepare({
    ...connection,
    describe: nothing,
    execute: nothing,
    sync: nothing,
    flush: nothing,
    close: nothing,
  });
  if (typeof found !== 'function') throw new TypeError('no function that serialises values');
  return found as (value: unknown) => Wire;
}

/** A RowDescription of one column called "a". */
const ONE_COLUMN = Buffer.from('540000001a0001610000000000000000000019ffffffffffff0000', 'hex');

/** The class that its parser makes columns of. */
function fieldOf(Connection: AnyClass): FieldClass {
  let read: ((bytes: Buffer) => void) | undefined;
  let fields: readonly object[] = [];
  const stream = {
    on(event: string, listener: (bytes: Buffer) => void): void {
      if (event === 'data') read = listener;
    },
  };
  const heard = {
    _emitMessage: false,
    emit(_event: string, message: { fields: readonly object[] }): void {
      fields = message.fields;
    },
  };
  const attach = Reflect.get(Connection.prototype as object, 'attachListeners') as (this: object, from: object) => void;
  attach.call(heard, stream);
  read?.(ONE_COLUMN);
  const [field] = fields;
  if (field === undefined) throw new TypeError('no class for columns');
  return field.constructor as FieldClass;
}
