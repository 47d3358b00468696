// Whole numbers as the server writes them, read off the bytes. Owns that the number is the one that pg makes of the same text.

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
