// Arrays of one dimension as the server writes them, read off the bytes or cut out of their text. Owns that the array is the one that pg makes of
// the same text; whatever has more dimensions, or bounds of its own, is left to pg's parser.

import type { TypeParser } from './shapes.ts';
import { wholeNumber } from './whole-numbers.ts';

const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const MINUS = 0x2d;
const ZERO = 0x30;

/** Of whole numbers, none of them null. */
export function numbersOf(bytes: Buffer, start: number, end: number, parser: TypeParser): unknown {
  const last = end - 1;
  if (last <= start || bytes[start] !== OPEN || bytes[last] !== CLOSE)
    return parser(bytes.toString('utf8', start, end));
  const numbers: number[] = [];
  let first = start + 1;
  for (let at = first; at < last; at += 1) {
    const byte = bytes[at] as number;
    if (byte === COMMA && at > first) {
      numbers.push(wholeNumber(bytes, first, at));
      first = at + 1;
    } else if ((byte < ZERO || byte > ZERO + 9) && !(byte === MINUS && at === first)) {
      return parser(bytes.toString('utf8', start, end));
    }
  }
  if (first < last) numbers.push(wholeNumber(bytes, first, last));
  else if (numbers.length > 0) return parser(bytes.toString('utf8', start, end));
  return numbers;
}

/** Of texts, quoted or not. */
export function textsOf(bytes: Buffer, start: number, end: number, parser: TypeParser): unknown {
  const text = bytes.toString('utf8', start, end);
  const last = text.length - 1;
  // One brace at each end; what is inside quotes may look like others, and is then read slowly.
  if (last < 1 || text[0] !== '{' || text.indexOf('{', 1) !== -1 || text.indexOf('}') !== last) return parser(text);
  if (last === 1) return [];
  return text.includes('"') || text.includes('\\') ? quoted(text, last, parser) : unquoted(text, last, parser);
}

function unquoted(text: string, last: number, parser: TypeParser): unknown {
  const found: (string | null)[] = text.slice(1, last).split(',');
  for (let n = 0; n < found.length; n += 1) {
    // No server writes it without quotes.
    if (found[n] === '') return parser(text);
    if (found[n] === 'NULL') found[n] = null;
  }
  return found;
}

function quoted(text: string, last: number, parser: TypeParser): unknown {
  const found: (string | null)[] = [];
  for (let at = 1; at < last; at += 1) {
    if (text[at] === '"') {
      const close = closing(text, at + 1, last);
      if (close === -1) return parser(text);
      const inside = text.slice(at + 1, close);
      found.push(inside.includes('\\') ? inside.replaceAll(/\\(.)/gsu, '$1') : inside);
      at = close + 1;
      // Behind a quote nothing but the next one can come.
      if (at < last && text[at] !== ',') return parser(text);
    } else {
      const comma = text.indexOf(',', at);
      const end = comma === -1 ? last : comma;
      const inside = text.slice(at, end);
      if (inside === '' || inside.includes('"') || inside.includes('\\')) return parser(text);
      found.push(inside === 'NULL' ? null : inside);
      at = end;
    }
  }
  return text[last - 1] === ',' ? parser(text) : found;
}

/** Where the quote that was opened before `from` is closed, or -1. */
function closing(text: string, from: number, last: number): number {
  for (let at = from; at < last; at += 1) {
    if (text[at] === '"') return at;
    if (text[at] === '\\') at += 1;
  }
  return -1;
}
