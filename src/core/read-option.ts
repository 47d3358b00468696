// Reads one value by its row of the table: the value in its resolved form, or an OptionError that says what was expected.
// Knows no other option and no default.

import { OptionError } from '../contracts/errors.ts';
import type { Alias, NumberSpec, OptionSpec } from './option-table.ts';

/** The value of the option `given`, which is its own name or that of `alias`. */
export function readOption(given: string, value: unknown, spec: OptionSpec, alias: Alias | undefined): unknown {
  switch (spec.kind) {
    case 'ms':
    case 'count':
      return readNumber(given, value, spec, alias);
    case 'text':
      if (typeof value === 'string' && value.length >= spec.min && value.length <= spec.max) return value;
      throw new OptionError(given, value, spec.min > 0 ? `a text of ${spec.min} to ${spec.max} characters` : 'a text');
    case 'flag':
      if (typeof value === 'boolean') return value;
      throw new OptionError(given, value, 'true or false');
    case 'switch':
      if (typeof value === 'boolean' || spec.words.some((word) => word === value)) return value;
      throw new OptionError(given, value, `true, false or ${spec.words.map((word) => `'${word}'`).join(', ')}`);
    case 'choice': {
      if (typeof value === 'function' || spec.words.some((word) => word === value)) return value;
      const words = spec.words.map((word) => `'${word}'`).join(', ');
      throw new OptionError(given, value, `${words} or a function`);
    }
    case 'word':
      if (spec.words.some((word) => word === value) || (spec.orFalse === true && value === false)) return value;
      throw new OptionError(
        given,
        value,
        [...spec.words.map((word) => `'${word}'`), ...(spec.orFalse === true ? ['false'] : [])].join(', '),
      );
    case 'record':
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
      throw new OptionError(given, value, `an object such as ${spec.example}`);
    case 'function':
      if (typeof value === 'function') return value;
      throw new OptionError(given, value, 'a function');
    case 'port':
      if (has(value, spec.methods)) return value;
      throw new OptionError(given, value, `an object with the methods ${spec.methods.join(', ')}`);
  }
}

function has(value: unknown, methods: readonly string[]): boolean {
  // An array has a `join`, too.
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || Array.isArray(value))
    return false;
  return methods.every((method) => typeof Reflect.get(value, method) === 'function');
}

function readNumber(given: string, value: unknown, spec: NumberSpec, alias: Alias | undefined): number {
  const zeroIsOff = alias?.zeroIsOff === true;
  if (value === false && spec.infinite) return Infinity;
  if (value === null && zeroIsOff) return Infinity;
  const number = typeof value === 'string' ? fromDigits(value) : value;
  if (typeof number === 'number') {
    if (number === 0 && zeroIsOff) return Infinity;
    if (number === Infinity && spec.infinite) return Infinity;
    const whole = inWholeUnits(number, alias?.unit ?? 1);
    // Adding 0 makes 0 of -0.
    if (Number.isInteger(whole) && whole >= spec.min && whole <= spec.max) return whole + 0;
  }
  throw new OptionError(given, value, expectedNumber(spec, alias));
}

/** Only plain digits: what `Number` makes of '', '0x10' or '1e3' is not what somebody meant who set a variable to it. */
function fromDigits(text: string): number {
  const trimmed = text.trim();
  return trimmed === 'Infinity' || /^\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : Number.NaN;
}

function inWholeUnits(number: number, unit: number): number {
  if (unit === 1) return number;
  // 1.001 × 1000 is not quite 1001.
  const scaled = number * unit;
  return Math.abs(scaled - Math.round(scaled)) < 1e-6 ? Math.round(scaled) : scaled;
}

function expectedNumber(spec: NumberSpec, alias: Alias | undefined): string {
  const unit = alias?.unit ?? 1;
  const low = alias?.zeroIsOff === true ? Math.max(spec.min, 1) : spec.min;
  const what = unit === 1 ? 'an integer' : 'a number';
  const measure = spec.kind === 'count' ? '' : unit === 1 ? ' (milliseconds)' : ' (seconds)';
  const range = `${what} from ${low / unit} to ${spec.max / unit}${measure}`;
  if (spec.offAs === undefined) return range;
  return alias?.zeroIsOff === true ? `${range}, or 0 for ${spec.offAs}` : `${range}, or false for ${spec.offAs}`;
}
