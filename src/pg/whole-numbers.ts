// Which columns hold whole numbers that can be read off the bytes, without a string in between. Owns the recognition of pg's own parser for
// them, by its text: whoever has set another one gets what that makes of the string.

import type { TypeParser } from './shapes.ts';

/** Types whose text is an optional minus and at most ten digits: int2, int4, oid. */
const TYPES: ReadonlySet<number> = new Set([21, 23, 26]);

/** What pg-types has had for these types in all its versions. */
const PARSER = /^function\s*\w*\s*\((\w+)\)\s*\{\s*return parseInt\(\1, 10\);?\s*\}$/;

const looked = new WeakMap<TypeParser, boolean>();

/** Whether `parser` makes of a column of this type the number that its digits say. */
export function isWholeNumber(dataTypeID: number, parser: TypeParser): boolean {
  if (!TYPES.has(dataTypeID) || typeof parser !== 'function') return false;
  let is = looked.get(parser);
  if (is === undefined) {
    is = PARSER.test(String(parser));
    looked.set(parser, is);
  }
  return is;
}

const MINUS = 0x2d;
const ZERO = 0x30;
/** Up to here each number has a value of its own in JavaScript. */
const DIGITS_MAX = 15;

export function wholeNumber(bytes: Buffer, start: number, end: number): number {
  const negative = bytes[start] === MINUS;
  const first = negative ? start + 1 : start;
  let number = 0;
  for (let at = first; at < end; at += 1) {
    const digit = (bytes[at] as number) - ZERO;
    // No server writes one so; whatever does is read as pg reads it.
    if (digit < 0 || digit > 9) return Number.parseInt(bytes.toString('utf8', start, end), 10);
    number = number * 10 + digit;
  }
  if (end === first || end - first > DIGITS_MAX) return Number.parseInt(bytes.toString('utf8', start, end), 10);
  return negative ? -number : number;
}
