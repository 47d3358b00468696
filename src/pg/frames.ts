// Where the server's messages begin and end in the bytes of one socket. Owns the knowledge whether a chunk ended between two of them; what
// is in them is not known here.

/** A byte for the kind of message, four for the length of what follows, these four included. */
export const HEADER = 5;

/** No message of the server is longer (MaxAllocSize). */
const LONGEST = 2 ** 30 + 4;

/** Whether a message can have this length; else these are not the server's bytes. */
export function isLength(length: number): boolean {
  return length >= 4 && length <= LONGEST;
}

export class Frames {
  /** Bytes of the message under way that are still to come. */
  #missing = 0;
  /** What there is of a header that was cut. */
  #header = 0;
  #length = 0;

  /** All that was counted were whole messages. */
  get whole(): boolean {
    return this.#missing === 0 && this.#header === 0;
  }

  /** Counts a chunk that follows those before it; throws at a length that no message can have. */
  count(chunk: Uint8Array): void {
    let at = 0;
    for (;;) {
      const rest = chunk.length - at;
      if (this.#missing >= rest) {
        this.#missing -= rest;
        return;
      }
      at += this.#missing;
      this.#missing = 0;
      while (this.#header < HEADER && at < chunk.length) {
        // The kind goes by: it is pushed out by the four bytes of the length.
        this.#length = ((this.#length << 8) | (chunk[at] as number)) >>> 0;
        this.#header += 1;
        at += 1;
      }
      if (this.#header < HEADER) return;
      if (!isLength(this.#length)) throw new Error(`a message says that it is ${this.#length} bytes long`);
      this.#missing = this.#length - 4;
      this.#header = 0;
      this.#length = 0;
    }
  }
}
