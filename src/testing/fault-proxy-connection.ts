// One proxied connection: the client's socket, the server's, and a flow each way. Owns when the client counts as gone, and the
// faults of this one connection; how many there are is the proxy's business.

import type { Socket } from 'node:net';
import { abruptly, Flow } from './fault-proxy-flow.ts';
import { ClientFrames, type ConnectionKind } from './fault-proxy-frames.ts';
import type { Direction, FaultVerbs, OneWay, ProxyEvent } from './fault-proxy-verbs.ts';

export interface ConnectionParts {
  readonly id: number;
  readonly client: Socket;
  /** Undefined: the connection is deaf, nobody is behind it. */
  readonly server: Socket | undefined;
  readonly tell: (event: ProxyEvent) => void;
  /** By how much a cancel request is late; infinitely, until `heal()`. */
  readonly cancelDelayMs: () => number;
}

export class ProxiedConnection implements FaultVerbs {
  /** 1, 2, 3 … in the order of acceptance. */
  readonly id: number;
  /**
   * Whether the client's socket exists, as far as the wire tells. A client that said goodbye counts until it is answered; one that
   * ended without it, or whose end is withheld from the server or the answer from it, only until its own end; one that is cut or
   * reset, until that. One that says goodbye and does not wait for the answer goes unseen: it counts too long.
   */
  open = true;
  /** It stopped counting because the client ended it, and not because the client was answered. */
  abandoned = false;
  /** Resolves when both sockets are gone. */
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #server: Socket | undefined;
  readonly #toServer: Flow;
  readonly #toClient: Flow;
  readonly #frames = new ClientFrames();
  readonly #parts: ConnectionParts;
  #hangsClose = false;

  constructor(parts: ConnectionParts) {
    const { id, client, server } = parts;
    this.id = id;
    this.#parts = parts;
    this.#client = client;
    this.#server = server;
    this.#toServer = new Flow(server);
    // From here on the client may have gone before this process sees it: it may be another thread's.
    this.#toClient = new Flow(client, (ending) => {
      if (ending === 'reset' || this.goodbye) this.#left();
    });
    this.#listenToClient();
    if (server !== undefined) this.#listenToServer(server);
    this.closed = Promise.all([over(client), server === undefined ? undefined : over(server)]).then(() => {
      this.#toServer.stop();
      this.#toClient.stop();
      this.#left();
      parts.tell({ type: 'closed', id });
    });
  }

  /** The port from which the client connected, by which a test finds the connection of a socket it has. */
  get clientPort(): number | undefined {
    return this.#client.remotePort;
  }

  /** The port from which the server is connected to, by which a test finds the connection of a session it sees on the server. */
  get serverPort(): number | undefined {
    return this.#server?.localPort;
  }

  get kind(): ConnectionKind {
    return this.#frames.kind;
  }

  /** Whether the client said goodbye. */
  get goodbye(): boolean {
    return this.#frames.goodbye;
  }

  /** Bytes: `received` from the one side, `passed` to the other, `lost`, and `held` at this moment. */
  get toServer(): Pick<Flow, 'received' | 'passed' | 'lost' | 'held'> {
    return this.#toServer;
  }

  get toClient(): Pick<Flow, 'received' | 'passed' | 'lost' | 'held'> {
    return this.#toClient;
  }

  async cut(): Promise<void> {
    this.#left();
    this.#client.destroy();
    this.#server?.destroy();
    await this.closed;
  }

  async reset(): Promise<void> {
    this.#left();
    for (const socket of [this.#client, this.#server]) {
      if (socket !== undefined && !socket.destroyed) abruptly(socket);
    }
    await this.closed;
  }

  async stall(direction: Direction = 'both'): Promise<void> {
    for (const flow of this.#flows(direction)) flow.stall();
  }

  async resume(direction: Direction = 'both'): Promise<void> {
    await Promise.all(this.#flows(direction).map((flow) => flow.resume()));
  }

  async drop(direction: Direction = 'both'): Promise<void> {
    for (const flow of this.#flows(direction)) flow.drop();
  }

  async delay(ms: number): Promise<void> {
    for (const flow of this.#flows('both')) flow.delay(ms / 2);
  }

  async halfOpen(direction: Direction = 'both'): Promise<void> {
    for (const flow of this.#flows(direction)) flow.hideEnding();
  }

  async halfClose(direction: OneWay): Promise<void> {
    const socket = direction === 'toClient' ? this.#client : this.#server;
    if (socket === undefined || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      socket.once('close', resolve);
      socket.end(() => resolve());
    });
  }

  async hangClose(): Promise<void> {
    this.#hangsClose = true;
  }

  async cutAfter(bytes: number, direction: OneWay = 'toClient'): Promise<void> {
    this.#flow(direction).limit(bytes, () => void this.cut());
    await this.closed;
  }

  async stallAfter(bytes: number, direction: OneWay = 'toClient'): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      this.#flow(direction).limit(bytes, resolve);
    });
    await Promise.race([reached, this.closed]);
  }

  async heal(): Promise<void> {
    this.#hangsClose = false;
    await Promise.all(this.#flows('both').map((flow) => flow.heal()));
  }

  #listenToClient(): void {
    const { id, tell, client } = this.#parts;
    client.on('data', (chunk: Buffer) => {
      this.#read(chunk);
      this.#toServer.take(chunk);
      tell({ type: 'bytes', id, direction: 'toServer', count: chunk.length });
    });
    client.on('end', () => {
      const answered = this.goodbye && !this.#toServer.withholdsEnding && !this.#toClient.withholdsEnding;
      this.#toServer.take('fin');
      tell({ type: 'ended', id, by: 'client', how: 'fin' });
      if (!answered) this.#abandon();
    });
    client.on('error', () => {
      this.#abandon();
      this.#toServer.take('reset');
      tell({ type: 'ended', id, by: 'client', how: 'reset' });
    });
    client.on('close', () => this.#left());
  }

  #listenToServer(server: Socket): void {
    const { id, tell } = this.#parts;
    let connected = false;
    server.on('connect', () => {
      connected = true;
    });
    server.on('data', (chunk: Buffer) => {
      this.#toClient.take(chunk);
      tell({ type: 'bytes', id, direction: 'toClient', count: chunk.length });
    });
    server.on('end', () => {
      this.#toClient.take('fin');
      tell({ type: 'ended', id, by: 'server', how: 'fin' });
    });
    server.on('error', (error) => {
      // A server that is not there is reset to the client: the nearest thing to "refused" after an accept.
      this.#toClient.take('reset');
      tell(connected ? { type: 'ended', id, by: 'server', how: 'reset' } : { type: 'unreachable', id, error });
    });
  }

  /** Looks at what the client says, before it is passed on. */
  #read(chunk: Buffer): void {
    const { id, tell } = this.#parts;
    const { kind, goodbye } = this.#frames;
    this.#frames.feed(chunk);
    if (this.kind !== kind) {
      tell({ type: 'kind', id, kind: this.kind });
      if (this.kind === 'cancel') this.#makeLate();
    }
    if (this.goodbye === goodbye) return;
    tell({ type: 'goodbye', id });
    if (this.#hangsClose) this.#toClient.drop();
  }

  #makeLate(): void {
    const ms = this.#parts.cancelDelayMs();
    if (ms === Infinity) this.#toServer.stall();
    else if (ms > 0) this.#toServer.delay(ms);
  }

  #abandon(): void {
    if (this.open) this.abandoned = true;
    this.#left();
  }

  #left(): void {
    if (!this.open) return;
    this.open = false;
    this.#parts.tell({ type: 'left', id: this.id });
  }

  #flow(direction: OneWay): Flow {
    return direction === 'toServer' ? this.#toServer : this.#toClient;
  }

  #flows(direction: Direction): Flow[] {
    return direction === 'both' ? [this.#toServer, this.#toClient] : [this.#flow(direction)];
  }
}

/** Resolves when the socket is closed. */
function over(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
