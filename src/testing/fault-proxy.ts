// `faultProxy()`: a TCP proxy on 127.0.0.1 that a test puts between a pool and its server, to count the pool's sockets and to do
// to them what networks do. Owns the listening socket, the counts and the faults that hold for all; what happens inside one
// connection is its neighbour's business. Real sockets; the only timers are the delays that were asked for.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { freePort } from './embedded-port.ts';
import { ProxiedConnection } from './fault-proxy-connection.ts';
import { Peak } from './fault-proxy-peak.ts';
import type { Direction, FaultVerbs, OneWay, ProxyEvent } from './fault-proxy-verbs.ts';

export interface FaultProxyOptions {
  /** Where the server is: an address, or the path of a Unix socket. */
  readonly target: { readonly host: string; readonly port: number } | string;
  /** The port to listen on at 127.0.0.1. Default: a free one. */
  readonly port?: number;
}

type Verb = (connection: ProxiedConnection) => Promise<void>;

/**
 * Starts a proxy. It keeps no process alive, and does not hold senders back: what one side does not read waits in the proxy's
 * memory. Rejects if the port is taken.
 */
export async function faultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target } = options;
  const valid = typeof target === 'string' ? target !== '' : typeof target?.host === 'string' && target.port > 0;
  if (!valid) throw new TypeError('faultProxy(): option `target` must be { host, port } or the path of a Unix socket');
  const proxy = new FaultProxy(target, options.port ?? (await freePort()));
  await proxy.serve();
  return proxy;
}

export class FaultProxy implements FaultVerbs, AsyncDisposable {
  readonly host: '127.0.0.1' = '127.0.0.1';
  readonly port: number;
  /** Connections accepted so far, of every kind; and how many of them turned out to be cancel requests. */
  accepted = 0;
  cancels = 0;
  /** Bytes that came in so far, by where they were going. */
  readonly bytes: { toServer: number; toClient: number } = { toServer: 0, toClient: 0 };
  readonly #target: FaultProxyOptions['target'];
  readonly #connections = new Map<number, ProxiedConnection>();
  readonly #listeners = new Set<(event: ProxyEvent) => void>();
  /** Faults that hold for whoever comes, by name. */
  readonly #standing = new Map<string, Verb>();
  readonly #peak = new Peak();
  #deaf = false;
  #cancelDelayMs = 0;
  #server: Server | undefined;
  #closing: Promise<void> | undefined;

  /** Use `faultProxy()`. */
  constructor(target: FaultProxyOptions['target'], port: number) {
    this.#target = target;
    this.port = port;
  }

  /** Connections of which at least one socket exists, oldest first. */
  get connections(): readonly ProxiedConnection[] {
    return [...this.#connections.values()];
  }

  /** Clients' sockets that exist now, cancel requests left out: `ProxiedConnection.open` says what counts. */
  get open(): number {
    return this.#openOnes().filter((one) => one.kind !== 'cancel').length;
  }

  /**
   * The most that `open` ever was. One that its client ends within three turns of the event loop after another came is taken to
   * have gone first: what a process reads then may have happened in either order.
   */
  get peak(): number {
    return this.#peak.most;
  }

  /** Calls `listener` with every event, synchronously; returns the undo. */
  observe(listener: (event: ProxyEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves as soon as `condition` holds; it is asked now and after every event. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const ask = (): void => {
        try {
          if (!condition()) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        undo();
      };
      const undo = this.observe(ask);
      ask();
    });
  }

  /** Accepts new connections and serves them, as in the beginning. Resolves when it listens. */
  async serve(): Promise<void> {
    this.#deaf = false;
    await this.#listen();
  }

  /** New connections are accepted and never answered, not even when they end; nobody is behind them. Present ones go on. */
  async deaf(): Promise<void> {
    this.#deaf = true;
    await this.#listen();
  }

  /** New connections are refused (ECONNREFUSED). Present ones go on. */
  async refuse(): Promise<void> {
    this.#server?.close();
    this.#server = undefined;
    await turn();
  }

  /** Cancel requests reach the server `ms` later than they come; `Infinity`: when that connection, or the proxy, is healed. */
  async lateCancel(ms: number): Promise<void> {
    this.#cancelDelayMs = ms;
  }

  async cut(): Promise<void> {
    await this.#each((connection) => connection.cut());
  }

  async reset(): Promise<void> {
    await this.#each((connection) => connection.reset());
  }

  async stall(direction: Direction = 'both'): Promise<void> {
    await this.#stand('stall', direction, (connection, way) => connection.stall(way));
  }

  async resume(direction: Direction = 'both'): Promise<void> {
    for (const way of ways(direction)) this.#standing.delete(`stall ${way}`);
    await this.#each((connection) => connection.resume(direction));
  }

  async drop(direction: Direction = 'both'): Promise<void> {
    await this.#stand('drop', direction, (connection, way) => connection.drop(way));
  }

  async delay(ms: number): Promise<void> {
    const verb: Verb = (connection) => connection.delay(ms);
    this.#standing.set('delay', verb);
    await this.#each(verb);
  }

  async halfOpen(direction: Direction = 'both'): Promise<void> {
    await this.#stand('halfOpen', direction, (connection, way) => connection.halfOpen(way));
  }

  async halfClose(direction: OneWay): Promise<void> {
    await this.#each((connection) => connection.halfClose(direction));
  }

  async hangClose(): Promise<void> {
    const verb: Verb = (connection) => connection.hangClose();
    this.#standing.set('hangClose', verb);
    await this.#each(verb);
  }

  async cutAfter(bytes: number, direction?: OneWay): Promise<void> {
    await this.#each((connection) => connection.cutAfter(bytes, direction));
  }

  async stallAfter(bytes: number, direction?: OneWay): Promise<void> {
    await this.#each((connection) => connection.stallAfter(bytes, direction));
  }

  /** Undoes `lateCancel` too. Whether new connections are served, refused or not heard stays as it is. */
  async heal(): Promise<void> {
    this.#standing.clear();
    this.#cancelDelayMs = 0;
    await this.#each((connection) => connection.heal());
  }

  /** Stops listening and cuts everything; resolves when no socket is left. Always the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.refuse().then(async () => {
      await this.cut();
      this.#listeners.clear();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #openOnes(): ProxiedConnection[] {
    return this.connections.filter((one) => one.open);
  }

  async #listen(): Promise<void> {
    if (this.#closing !== undefined) throw new Error('faultProxy(): the proxy is closed');
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      server.listen({ host: this.host, port: this.port }, resolve);
    });
    server.unref();
  }

  #accept(client: Socket): void {
    const { host, port } = typeof this.#target === 'string' ? { host: undefined, port: 0 } : this.#target;
    const wire = { allowHalfOpen: true, noDelay: true };
    const to = host === undefined ? { ...wire, path: String(this.#target) } : { ...wire, host, port };
    const server = this.#deaf ? undefined : connect(to);
    client.unref();
    server?.unref();
    this.accepted += 1;
    const connection = new ProxiedConnection({
      id: this.accepted,
      client,
      server,
      tell: (event) => this.#tell(event),
      cancelDelayMs: () => this.#cancelDelayMs,
    });
    this.#peak.accepted(connection, this.#openOnes());
    this.#connections.set(connection.id, connection);
    for (const verb of this.#standing.values()) void verb(connection);
    this.#tell({ type: 'accepted', id: connection.id });
  }

  #tell(event: ProxyEvent): void {
    if (event.type === 'bytes') this.bytes[event.direction] += event.count;
    if (event.type === 'closed') this.#connections.delete(event.id);
    if (event.type === 'kind' && event.kind === 'cancel') this.cancels += 1;
    for (const listener of this.#listeners) listener(event);
  }

  async #each(verb: Verb): Promise<void> {
    await Promise.all(this.connections.map(verb));
  }

  async #stand(
    name: string,
    direction: Direction,
    verb: (connection: ProxiedConnection, way: OneWay) => Promise<void>,
  ): Promise<void> {
    for (const way of ways(direction)) {
      this.#standing.set(`${name} ${way}`, (connection) => verb(connection, way));
      await this.#each((connection) => verb(connection, way));
    }
  }
}

function ways(direction: Direction): OneWay[] {
  return direction === 'both' ? ['toServer', 'toClient'] : [direction];
}

/** One turn of the event loop, in which a closed handle is really closed. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
