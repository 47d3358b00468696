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

export function wholeNumber(bytes: Uint8Array, start: number, end: number): number {
  const negative = bytes[start] === MINUS;
  let number = 0;
  for (let at = negative ? start + 1 : start; at < end; at += 1) number = number * 10 + (bytes[at] as number) - ZERO;
  return negative ? -number : number;
}
