// Spans of OpenTelemetry for one pool: how long each borrower waited, and each query that the codec speaks. Owns their names and attributes; all
// it knows comes from the channels, so a tracer of pg's that makes the codec step aside leaves no query with two spans.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Attributes, type Span, SpanKind, SpanStatusCode, type TracerProvider, trace } from '@opentelemetry/api';
import { OptionError } from '../contracts/errors.ts';
import { type ChannelName, connects, isAbout, type Messages, markMessages, queries } from './channels.ts';

/** The pool that is traced. */
interface Traceable {
  readonly name: string;
  query(...args: never[]): unknown;
}

export interface TraceOptions {
  /** Default: the one that is registered globally. */
  tracerProvider?: TracerProvider | undefined;
  /** `'compat'`: the wait is called `pg-pool.connect`, as OpenTelemetry's own tracer of pg-pool calls it. Default `pool.acquire`. */
  semconv?: 'compat' | undefined;
}

type Start<M> = (message: M) => Span;

/** A channel rethrows what its subscriber throws as an uncaught exception: a tracer that fails must not end the process. */
function safely(hear: (message: unknown) => void): (message: unknown) => void {
  let said = false;
  return (message) => {
    try {
      hear(message);
    } catch (error) {
      if (said) return;
      said = true;
      const why = error instanceof Error ? error.message : String(error);
      process.emitWarning(`a tracer threw: ${why}`, { type: 'OxbowWarning', code: 'OXBOW_CALLBACK_FAILED' });
    }
  };
}

/** Spans of one kind that are open; returns what ends them all. */
function spansOn<N extends ChannelName>(
  name: N,
  pool: object,
  start: Start<Messages[N]>,
  end: (span: Span, message: Messages[N]) => void,
): () => void {
  const open = new Map<object, Span>();
  const begun = (message: unknown): void => {
    if (typeof message !== 'object' || message === null || !isAbout(message, pool)) return;
    open.set(message, start(message as Messages[N]));
  };
  const over = (message: unknown): void => {
    const span = open.get(Object(message));
    if (span === undefined) return;
    open.delete(Object(message));
    end(span, message as Messages[N]);
    span.end();
  };
  // A call that throws at once has an error and no later end.
  const parts = [
    ['start', begun],
    ['error', over],
    ['asyncEnd', over],
  ] as const;
  const heard = parts.map(([part, hear]) => [`tracing:${name}:${part}`, safely(hear)] as const);
  for (const [channel, hear] of heard) subscribe(channel, hear);
  return () => {
    for (const [channel, hear] of heard) unsubscribe(channel, hear);
    for (const span of open.values()) span.end();
    open.clear();
  };
}

function placed({
  poolName,
  serverAddress,
  serverPort,
  database,
}: Messages['oxbow:query' | 'pg:pool:connect']): Attributes {
  return {
    'db.system.name': 'postgresql',
    'db.client.connection.pool.name': poolName,
    ...(database !== undefined && { 'db.namespace': database }),
    ...(serverAddress !== undefined && { 'server.address': serverAddress }),
    ...(serverPort !== undefined && { 'server.port': serverPort }),
  };
}

function word(error: unknown, ...keys: string[]): string | undefined {
  const found = keys.map((key): unknown => Reflect.get(Object(error), key));
  return found.find((value): value is string => typeof value === 'string' && value !== '');
}

/** By its kind: the text of a server's error may quote values, and is left out. */
function failed(span: Span, error: unknown, message?: string): void {
  const kind = word(error, 'kind', 'code', 'name') ?? '_OTHER';
  span.setAttribute('error.type', kind);
  span.setStatus({ code: SpanStatusCode.ERROR, message: message ?? kind });
}

/** Five digits or capitals: what PostgreSQL itself said. */
const SQLSTATE = /^[0-9A-Z]{5}$/;

/**
 * Makes a span of each wait for a connection of `pool`, and of each query that its codec speaks; where OpenTelemetry's own tracer of pg is at
 * work, pg speaks, and the queries have its spans. Each is a child of what is active where the call is made. Returns the undo.
 */
export function tracePool(pool: Traceable, options: TraceOptions = {}): () => void {
  if (typeof pool !== 'object' || pool === null || typeof pool.query !== 'function')
    throw new OptionError('pool', pool, "a pool of this package's");
  const { tracerProvider, semconv, ...unknown } = options;
  const [slip] = Object.entries(unknown);
  if (slip !== undefined) throw new OptionError(slip[0], slip[1], 'one of tracerProvider, semconv, for tracePool()');
  if (semconv !== undefined && semconv !== 'compat') throw new OptionError('semconv', semconv, "'compat'");
  if (tracerProvider !== undefined && typeof tracerProvider?.getTracer !== 'function')
    throw new OptionError('tracerProvider', tracerProvider, 'an object with a function getTracer');
  const tracer = (tracerProvider ?? trace).getTracer('oxbow');
  const unmark = markMessages();
  const waits = spansOn(
    connects.name,
    pool,
    (message) => {
      const name = semconv === 'compat' ? 'pg-pool.connect' : 'pool.acquire';
      return tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes: placed(message) });
    },
    (span, message) => {
      span.setAttributes(placed(message));
      if (message.error !== undefined) failed(span, message.error, word(message.error, 'message'));
    },
  );
  const asked = spansOn(
    queries.name,
    pool,
    (message) => {
      const { text, operation, database, serverAddress } = message;
      const attributes = { ...placed(message), 'db.operation.name': operation, 'db.query.text': text };
      const name = [operation, database ?? serverAddress].join(' ').trim() || 'postgresql';
      return tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes });
    },
    (span, { error }) => {
      if (error === undefined) return;
      const code = word(error, 'code');
      if (code !== undefined && SQLSTATE.test(code)) span.setAttribute('db.response.status_code', code);
      failed(span, error);
    },
  );
  let undone = false;
  return () => {
    if (undone) return;
    undone = true;
    unmark();
    waits();
    asked();
  };
}
