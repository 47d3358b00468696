// From what a user wrote to what the engine and the client get: names and their synonyms, defaults, what contradicts what.
// How one value is read is in read-option, what there is in option-table. Which keys belong to the driver is passed in.

import { OptionError } from '../contracts/errors.ts';
import type { ResolvedOptions } from '../contracts/options.ts';
import { NAMES_OF_OTHER_POOLS } from './names-of-other-pools.ts';
import type { Alias, OptionSpec, Personality } from './option-table.ts';
import { LATER_OPTIONS, OPTIONS } from './option-table.ts';
import { readOption } from './read-option.ts';
import { didYouMean, slipOf } from './spelling.ts';

export interface ResolveContext {
  readonly personality: Personality;
  /** Every key that the driver is known to read; never taken for a slip of ours. */
  readonly foreignKeys: ReadonlySet<string>;
  /** Of the process' environment, what decides about `dev`. */
  readonly env?: { readonly OXBOW_DEV?: string | undefined; readonly NODE_ENV?: string | undefined };
}

export interface Resolution<C = unknown, P = unknown> {
  readonly engine: ResolvedOptions<C, P>;
  /** For the client: the options that are not the pool's own, as they were given, and TCP keep-alive. */
  readonly client: Record<string, unknown>;
}

const ENTRIES: readonly (readonly [string, OptionSpec])[] = Object.entries(OPTIONS);

/** Every name that is ours. */
const OUR_NAMES: ReadonlySet<string> = new Set(
  ENTRIES.flatMap(([name, spec]) => [name, ...spec.aliases.map((alias) => alias.name)]),
);

/** Keys through which an object parsed from outside could reach a prototype when it is copied. */
const NEVER_COPIED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Fills in every default. Throws an `OptionError` for the first thing that cannot be meant. `input` is read once and never changed;
 * only its own properties count, those that are not enumerable included (a pool hides its secrets that way).
 */
export function resolveOptions<C = unknown, P = unknown>(input: unknown, context: ResolveContext): Resolution<C, P> {
  const given = readInput(input);
  const client: Record<string, unknown> = {};
  for (const [key, value] of given) {
    if (OUR_NAMES.has(key)) continue;
    refuseMistakes(key, value, context.foreignKeys);
    client[key] = value;
  }

  const values = new Map<string, unknown>();
  for (const [name, spec] of ENTRIES) values.set(name, readAllNames(name, spec, given, client));
  fillDefaults(values, given, context);

  const engine: Record<string, unknown> = {};
  for (const [name, spec] of ENTRIES) {
    const value = values.get(name);
    if (spec.owner === 'engine') engine[name] = value;
    else if (value !== undefined) client[name] = value;
  }
  // The table has exactly the keys of the type (the compiler sees to that) and each was read by its kind.
  return { engine: Object.freeze(engine) as ResolvedOptions<C, P>, client };
}

/** What was given, by key. A getter is called once. */
function readInput(input: unknown): Map<string, unknown> {
  const given = new Map<string, unknown>();
  if (input === undefined) return given;
  if (typeof input === 'string') {
    // Under this name its value is not shown: it may well hold a password.
    throw new OptionError('connectionString', input, 'it as a key of an object');
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new OptionError('options', input, 'an object with options');
  }
  for (const key of Object.getOwnPropertyNames(input)) {
    if (NEVER_COPIED.has(key)) continue;
    const value: unknown = Reflect.get(input, key);
    if (value !== undefined) given.set(key, value);
  }
  return given;
}

function refuseMistakes(key: string, value: unknown, foreignKeys: ReadonlySet<string>): void {
  if (LATER_OPTIONS.has(key)) {
    throw new OptionError(key, concealed(value), 'undefined (this version does not have it yet)');
  }
  if (foreignKeys.has(key)) return;
  const elsewhere = Object.hasOwn(NAMES_OF_OTHER_POOLS, key) ? NAMES_OF_OTHER_POOLS[key] : undefined;
  const meant = elsewhere === undefined ? slipOf(key, OUR_NAMES) : [elsewhere];
  if (meant.length > 0) throw new OptionError(key, concealed(value), didYouMean(meant));
}

/** The value under a name that nobody knows: a misspelt connection string holds a password all the same. */
function concealed(value: unknown): unknown {
  return typeof value === 'string' ? '(not shown)' : typeof value === 'object' ? {} : value;
}

/** The value under whichever of its names it was given; undefined if under none. */
function readAllNames(
  name: string,
  spec: OptionSpec,
  given: ReadonlyMap<string, unknown>,
  client: Record<string, unknown>,
): unknown {
  let result: unknown;
  let from: string | undefined;
  const names: [string, Alias | undefined][] = [
    [name, undefined],
    ...spec.aliases.map((alias): [string, Alias] => [alias.name, alias]),
  ];
  for (const [key, alias] of names) {
    const raw = given.get(key);
    if (raw === undefined) continue;
    const value = readOption(key, raw, spec, alias);
    if (from !== undefined && !Object.is(value, result)) {
      const figure = typeof result === 'number' ? ` (${result})` : '';
      throw new OptionError(key, raw, `the same as "${from}"${figure}, another name for it`);
    }
    if (alias?.forClient === true) client[key] = value === Infinity ? false : value;
    result = value;
    from = key;
  }
  return result;
}

function fillDefaults(
  values: Map<string, unknown>,
  given: ReadonlyMap<string, unknown>,
  context: ResolveContext,
): void {
  const maxIsGiven = values.get('max') !== undefined;
  for (const [name, spec] of ENTRIES) {
    if (values.get(name) === undefined) values.set(name, spec.default[context.personality]);
  }
  if (values.get('dev') === undefined) values.set('dev', isDevelopment(context.env));

  const min = Number(values.get('min'));
  const max = Number(values.get('max'));
  if (min <= max) return;
  if (!maxIsGiven && context.personality === 'oxbow') values.set('max', min);
  else throw new OptionError('min', given.get('min'), `an integer from 0 to "max" (${max})`);
}

function isDevelopment(env: ResolveContext['env']): boolean {
  return env?.OXBOW_DEV === '1' || env?.NODE_ENV === 'development' || env?.NODE_ENV === 'test';
}
