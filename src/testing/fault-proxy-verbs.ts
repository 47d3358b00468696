// What can be done to a proxied connection, or to all of them at once, and what is told about it. Types only.

import type { Ending } from './fault-proxy-flow.ts';
import type { ConnectionKind } from './fault-proxy-frames.ts';

export type OneWay = 'toServer' | 'toClient';
export type Direction = OneWay | 'both';

/**
 * Faults. On a connection they concern that one. On the proxy those that describe a state (`stall`, `drop`, `delay`, `halfOpen`,
 * `hangClose`) hold for present and future connections until `heal()`; those that happen once (`cut`, `reset`, `halfClose`,
 * `cutAfter`, `stallAfter`) for the present ones. Each promise means done: in force, or over, at the proxy's end of the wire.
 */
export interface FaultVerbs {
  /** Destroys both sockets; resolves when they are closed. */
  cut(): Promise<void>;
  /** The same with an RST to both sides. */
  reset(): Promise<void>;
  /** Nothing passes; what comes in is kept. */
  stall(direction?: Direction): Promise<void>;
  /** Ends a stall; resolves when what was kept is written. */
  resume(direction?: Direction): Promise<void>;
  /** Everything vanishes, ends included; the sockets stay. */
  drop(direction?: Direction): Promise<void>;
  /** Adds `ms` to each round trip, half of it each way. */
  delay(ms: number): Promise<void>;
  /** Bytes pass, but neither side learns that the other has ended. */
  halfOpen(direction?: Direction): Promise<void>;
  /** Ends one direction in order; the other goes on. */
  halfClose(direction: OneWay): Promise<void>;
  /** A client that says goodbye (Terminate) gets no answer: its socket is never closed from this side. The server does get it. */
  hangClose(): Promise<void>;
  /** Passes `bytes` more, then cuts. Resolves when the connection is gone, so await it after what provokes it. */
  cutAfter(bytes: number, direction?: OneWay): Promise<void>;
  /** Passes `bytes` more, then stalls that direction. Resolves when it has, or when the connection is gone. */
  stallAfter(bytes: number, direction?: OneWay): Promise<void>;
  /** Undoes every fault that can be undone: kept bytes and hidden ends are handed over; what vanished stays lost. */
  heal(): Promise<void>;
}

/** `left`: the client's socket no longer counts. `closed`: both sockets are gone. */
export type ProxyEvent =
  | { readonly type: 'accepted' | 'goodbye' | 'left' | 'closed'; readonly id: number }
  | { readonly type: 'kind'; readonly id: number; readonly kind: ConnectionKind }
  | { readonly type: 'ended'; readonly id: number; readonly by: 'client' | 'server'; readonly how: Ending }
  | { readonly type: 'unreachable'; readonly id: number; readonly error: Error }
  | { readonly type: 'bytes'; readonly id: number; readonly direction: OneWay; readonly count: number };
