// Dates and timestamps in the server's ISO style, read off the bytes. Owns that the Date is the one that pg makes of the same text; whatever is
// written otherwise (before Christ, infinite, years of less or more than four digits, zones to the second) is left to pg's parser.

import type { TypeParser } from './shapes.ts';

const ZERO = 0x30;
const SPACE = 0x20;
const PLUS = 0x2b;
const DASH = 0x2d;
const DOT = 0x2e;
const COLON = 0x3a;

/** `2026-11-25`, and with a time of day. */
const DAY = 10;
const SECOND = 19;
/** The server writes six at most. */
const FRACTION_MAX = 6;
const POWERS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6];
/** JavaScript takes the years below for those of another century. */
const FIRST_YEAR = 100;

/** Two digits, or a number below zero. */
function two(bytes: Buffer, at: number): number {
  const ten = (bytes[at] as number) - ZERO;
  const one = (bytes[at + 1] as number) - ZERO;
  return ten < 0 || ten > 9 || one < 0 || one > 9 ? -Infinity : ten * 10 + one;
}

/** Undefined where it is not written as most are. */
function dateIn(bytes: Buffer, start: number, end: number): Date | undefined {
  const length = end - start;
  if (length < DAY || bytes[start + 4] !== DASH || bytes[start + 7] !== DASH) return undefined;
  const year = two(bytes, start) * 100 + two(bytes, start + 2);
  const month = two(bytes, start + 5);
  const day = two(bytes, start + 8);
  if (!(year >= FIRST_YEAR && month >= 0 && day >= 0)) return undefined;
  // A date is midnight where the process is.
  if (length === DAY) return new Date(year, month - 1, day);
  if (length < SECOND || bytes[start + 10] !== SPACE || bytes[start + 13] !== COLON || bytes[start + 16] !== COLON)
    return undefined;
  const hour = two(bytes, start + 11);
  const minute = two(bytes, start + 14);
  const second = two(bytes, start + 17);
  if (hour < 0 || minute < 0 || second < 0) return undefined;
  let at = start + SECOND;
  let ms = 0;
  if (bytes[at] === DOT && at < end) {
    at += 1;
    const first = at;
    let fraction = 0;
    for (; at < end; at += 1) {
      const digit = (bytes[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      fraction = fraction * 10 + digit;
    }
    const digits = at - first;
    if (digits === 0 || digits > FRACTION_MAX) return undefined;
    ms = 1000 * (fraction / (POWERS[digits] as number));
  }
  if (at === end) return new Date(year, month - 1, day, hour, minute, second, ms);
  const minutes = zoneAt(bytes, at, end);
  return minutes === undefined
    ? undefined
    : new Date(Date.UTC(year, month - 1, day, hour, minute, second, ms) - minutes * 60_000);
}

/** `+02` or `-03:30`, in minutes. */
function zoneAt(bytes: Buffer, at: number, end: number): number | undefined {
  const sign = bytes[at];
  const length = end - at;
  if ((sign !== PLUS && sign !== DASH) || (length !== 3 && !(length === 6 && bytes[at + 3] === COLON)))
    return undefined;
  const minutes = two(bytes, at + 1) * 60 + (length === 6 ? two(bytes, at + 4) : 0);
  if (minutes < 0) return undefined;
  return sign === DASH ? -minutes : minutes;
}

/** What `parser`, which is pg's own, makes of it. */
export function dateOf(bytes: Buffer, start: number, end: number, parser: TypeParser): unknown {
  return dateIn(bytes, start, end) ?? parser(bytes.toString('utf8', start, end));
}
