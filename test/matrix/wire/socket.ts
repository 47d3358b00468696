// A socket in memory: a `net.Socket` to whoever asks, with a network behind it that is told of everything and decides when things
// happen. Owns the manners of a stream; knows no protocol and no time.

import { Socket } from 'node:net';

/** The other end, and all that lies in between. */
export interface Network {
  dialled(socket: MemorySocket, port: number, host: string): void;
  written(socket: MemorySocket, chunk: Buffer): void;
  /** The client will write no more. */
  finished(socket: MemorySocket): void;
  /** The client has cut it; `gone` makes that true. */
  cut(socket: MemorySocket, gone: (error?: Error) => void): void;
}

/** As Node reports what the system reports. */
export function socketError(code: string): Error {
  return Object.assign(new Error(`socket: ${code}`), { code });
}

export class MemorySocket extends Socket {
  override readonly bytesRead: number = 0;
  override readonly remoteAddress: string | undefined = undefined;
  /** It sends a cancel request, and is no session's. */
  readonly cancels: boolean;
  dialled = false;
  readonly #network: Network;
  #connected = false;
  #held: (() => void)[] = [];

  constructor(network: Network, cancels: boolean) {
    super({ allowHalfOpen: false });
    this.#network = network;
    this.cancels = cancels;
  }

  /** Dialled, and not closed yet. */
  get open(): boolean {
    return this.dialled && !this.closed;
  }

  override connect(...[port, host]: unknown[]): this {
    this.dialled = true;
    this.#network.dialled(this, Number(port), String(host));
    return this;
  }

  override setNoDelay(): this {
    return this;
  }

  override setKeepAlive(): this {
    return this;
  }

  override ref(): this {
    return this;
  }

  override unref(): this {
    return this;
  }

  // ── the network's side ────────────────────────────────────────────────────────────────────────────────────────────────

  established(): void {
    if (this.destroyed) return;
    this.#connected = true;
    this.emit('connect');
    for (const write of this.#held.splice(0)) write();
  }

  deliver(chunk: Buffer): void {
    if (this.destroyed || this.readableEnded) return;
    Object.assign(this, { bytesRead: this.bytesRead + chunk.length });
    this.push(chunk);
  }

  /** The server will write no more. */
  ended(): void {
    if (!this.destroyed) this.push(null);
  }

  broken(code: string): void {
    this.destroy(socketError(code));
  }

  // ── the stream's side ─────────────────────────────────────────────────────────────────────────────────────────────────

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#whenConnected(() => {
      this.#network.written(this, chunk);
      done();
    });
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', done);
  }

  override _final(done: () => void): void {
    this.#whenConnected(() => {
      this.#network.finished(this);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#held = [];
    // A socket of Node says by itself when it has closed; the stream below it does not.
    const closed = (failure: Error | null): void => {
      done(failure);
      process.nextTick(() => this.emit('close', failure !== null));
    };
    if (this.dialled) this.#network.cut(this, (failure) => closed(failure ?? error));
    else closed(error);
  }

  #whenConnected(write: () => void): void {
    if (this.#connected) write();
    else this.#held.push(write);
  }
}
