// What a caller says about one request, looked at before anything is done. Owns that a slip of the pen is an error which names it, and not
// a request for something else.

import { constants } from 'node:os';
import { OptionError } from '../contracts/errors.ts';
import { isSignal } from '../core/signals.ts';

type Rule = (value: unknown) => string | undefined;

const time: Rule = (value) =>
  typeof value === 'number' && value >= 0 ? undefined : 'a number of milliseconds from 0, or Infinity';
const count: Rule = (value) => (Number.isInteger(value) && Number(value) >= 0 ? undefined : 'a whole number from 0');
const signal: Rule = (value) => (isSignal(value) ? undefined : 'an AbortSignal');
const text: Rule = (value) => (typeof value === 'string' ? undefined : 'a text');
const flag: Rule = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
const word =
  (...words: string[]): Rule =>
  (value) =>
    words.some((one) => one === value) ? undefined : words.map((one) => `'${one}'`).join(' or ');
const signals: Rule = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((one) => Object.hasOwn(constants.signals, one))
    ? undefined
    : "a list of names of signals, as ['SIGTERM']";
const server: Rule = (value) => (hasMethods(value, 'close') ? undefined : 'a server, or anything else with close()');
const workers: Rule = (value) =>
  Array.isArray(value) && value.every((one) => hasMethods(one, 'once', 'postMessage'))
    ? undefined
    : 'a list of Workers';
const object: Rule = (value) => (typeof value === 'object' && value !== null ? undefined : 'an object');
/** Looked at elsewhere. */
const later: Rule = () => undefined;

type Rules = Readonly<Record<string, Rule>>;
type Verb =
  | 'acquire'
  | 'transaction'
  | 'ready'
  | 'open'
  | 'close'
  | 'check'
  | 'trim'
  | 'replaceAll'
  | 'pause'
  | 'resize'
  | 'share'
  | 'onSignal';

const ACQUIRE: Rules = { acquireTimeoutMs: time, signal, label: text };
const WAIT: Rules = { timeoutMs: time, signal };

/** For each verb what it can be told. */
const RULES: Readonly<Record<Verb, Rules>> = {
  acquire: ACQUIRE,
  transaction: { ...ACQUIRE, isolation: later, readOnly: later, deferrable: later, retries: later, settings: later },
  ready: WAIT,
  open: { ...WAIT, wait: flag },
  close: { drainMs: time, cancelMs: time, waiting: word('reject', 'serve') },
  check: { timeoutMs: time },
  trim: { to: count },
  replaceAll: { overMs: time },
  pause: { borrowers: word('wait', 'reject') },
  resize: { min: later, max: later },
  share: { workers },
  onSignal: { signals, server, close: object },
};

/** What `verb` cannot mean of `options`; `undefined` values count as left out. */
export function faultIn(verb: Verb, options: unknown): OptionError | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null)
    return new OptionError('options', options, `an object, for ${verb}()`);
  const rules = RULES[verb];
  for (const [key, value] of Object.entries(options)) {
    const rule = rules[key];
    if (rule === undefined)
      return new OptionError(key, value, `one of ${Object.keys(rules).join(', ')}, for ${verb}()`);
    const expected = value === undefined ? undefined : rule(value);
    if (expected !== undefined) return new OptionError(key, value, expected);
  }
  return undefined;
}

/** Throws that. */
export function checkRequest(verb: Verb, options: unknown): void {
  const fault = faultIn(verb, options);
  if (fault !== undefined) throw fault;
}

/** A function to be called with a connection: better no than after one was taken. */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new OptionError(name, value, 'a function');
}

/** Whether it can be called by these names; of whatever class and copy of a package. */
function hasMethods(value: unknown, ...names: string[]): boolean {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  return names.every((name) => typeof Reflect.get(value, name) === 'function');
}

/** A pool, before it is used: by `verbs`, the least that is asked of it. */
export function checkPool(value: unknown, ...verbs: string[]): void {
  if (!hasMethods(value, ...verbs)) throw new OptionError('pool', value, "a pool of this package's");
}
