// Every wait of the driver for the wire: the registry of their names. The engine bounds each call of the driver as a whole; the
// names are for the law that refuses an unregistered `await`, and for suites that disturb each of them.

export const PG_STEPS = {
  settings: "the user's function says where to connect to, or with which password",
  connect: 'pg resolves, connects, does TLS and authenticates',
  pooler: 'it is found out whether a pooler stands in between',
  query: 'pg runs a statement of the pool itself',
  reply: 'the reply of a statement that is over or was cancelled is read to its end',
  cancel: 'a cancel request is sent, and its own socket closed by the server',
  gone: 'the socket is closed',
} as const;

export type PgStepName = keyof typeof PG_STEPS;

export function step<T>(_name: PgStepName, promise: Promise<T>): Promise<T> {
  return promise;
}
