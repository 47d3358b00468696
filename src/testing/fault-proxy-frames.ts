// What a client's bytes say about its connection: a session or a cancel request, and whether it said goodbye. Reads the heads of
// PostgreSQL's messages as they pass, in whatever pieces they come; keeps and changes nothing.

/** `unknown`: it has not said yet. `opaque`: it went over to TLS, or is not PostgreSQL. */
export type ConnectionKind = 'unknown' | 'session' | 'cancel' | 'opaque';

const CANCEL = 80_877_102;
const TLS = 80_877_103;
const GSS = 80_877_104;
const TERMINATE = 0x58;

export class ClientFrames {
  kind: ConnectionKind = 'unknown';
  /** A Terminate message was seen. */
  goodbye = false;
  /** The part of a message's head that has come. */
  #head: number[] = [];
  /** Bytes of the present message that are still to come. */
  #rest = 0;

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.kind !== 'opaque') {
      const skipped = Math.min(this.#rest, chunk.length - at);
      this.#rest -= skipped;
      at += skipped;
      if (at === chunk.length) return;
      this.#head.push(chunk[at]!);
      at += 1;
      if (this.kind === 'unknown') this.#opening();
      else this.#message();
    }
  }

  /** Messages before the session: a length and a code, four bytes each. */
  #opening(): void {
    if (this.#head[0] !== 0) {
      this.kind = 'opaque';
      return;
    }
    if (this.#head.length < 8) return;
    const head = Buffer.from(this.#head);
    const code = head.readInt32BE(4);
    this.#begin(head.readInt32BE(0) - 8);
    if (code === CANCEL) this.kind = 'cancel';
    else if (code !== TLS && code !== GSS) this.kind = 'session';
  }

  /** Messages of a session: a letter, and a length that counts itself. */
  #message(): void {
    if (this.#head.length < 5) return;
    const head = Buffer.from(this.#head);
    if (this.kind === 'session' && head[0] === TERMINATE) this.goodbye = true;
    this.#begin(head.readInt32BE(1) - 4);
  }

  #begin(rest: number): void {
    this.#head = [];
    this.#rest = Math.max(0, rest);
  }
}
