// What the suite of pg-pool 3.14 proves, one line for each of its 89 tests and by its number, and how the pool of `oxbow/pg` stands to it.
// Data only. `same`: one body runs against the genuine `pg.Pool` and against ours. `different`: on purpose, for `reason`; a test of ours
// shows what is so instead, and `deviation` is its row in src/pool/deviations.ts.

export type Line = {
  readonly number: number;
  /** What pg-pool does. */
  readonly does: string;
} & (
  | { readonly class: 'same' }
  | { readonly class: 'different'; readonly deviation: string; readonly reason: string }
  | { readonly class: 'not applicable'; readonly reason: string }
);

const line = { class: 'same' } as const;
const differs = (deviation: string, reason: string) => ({ class: 'different', deviation, reason }) as const;
const none = (reason: string) => ({ class: 'not applicable', reason }) as const;

const WRAPPED =
  'the error is wrapped, so that it says which pool could not connect to where; the very object is its cause';
const KEPT = 'an SQL error says nothing against its connection, and a reconnect costs more than most queries';

export const lines: readonly Line[] = [
  {
    number: 1,
    does: 'connectionString reaches the Client untouched, and a Client may be a function that returns { connect, on }',
    ...differs(
      'client-class',
      'a session is watched, cancelled and cut through pg’s connection; without one it is refused by name',
    ),
  },
  { number: 2, does: 'a server that never answers: the callback gets an error with "timeout" and no client', ...line },
  { number: 3, does: 'a server that never answers: the promise rejects with "timeout"', ...line },
  { number: 4, does: 'fifteen timeouts of 1 ms in a row all reject and leave nothing behind', ...line },
  { number: 5, does: 'a waiter times out while the only client is lent; release and end work afterwards', ...line },
  { number: 6, does: 'the timeout of one waiter leaves the waiter behind it its turn', ...line },
  { number: 7, does: 'pool.query times out when all are busy', ...line },
  { number: 8, does: 'after such a timeout the pool serves queries again', ...line },
  {
    number: 9,
    does: 'a failed connect passes its error object to its caller, and the queue goes on',
    ...differs('connect-error', WRAPPED),
  },
  {
    number: 10,
    does: 'a connection that arrives after its waiter timed out is kept, and the waiter is answered once',
    ...line,
  },
  {
    number: 11,
    does: 'a native client that is connected is not killed by the timer of the pool',
    ...none('there is no native client: `native` is null, and its Client has no socket to watch'),
  },

  { number: 12, does: 'an unused pool ends, with a callback', ...line },
  { number: 13, does: 'an unused pool ends, with a promise', ...line },
  { number: 14, does: 'a pool ends after use', ...line },
  { number: 15, does: 'a query in flight still resolves when end() was called meanwhile', ...line },
  { number: 16, does: 'twenty queries on max 20, then end() at once: all complete first', ...line },

  { number: 17, does: 'five failing queries at once leave the pool alive', ...line },
  { number: 18, does: 'pool.query(null) rejects and does not throw', ...line },
  { number: 19, does: 'client.release() a second time throws, each time', ...line },
  { number: 20, does: 'done() a second time throws, each time', ...line },
  { number: 21, does: 'an ended pool rejects connect, query and end', ...line },
  { number: 22, does: 'an ended pool gives errors to the callbacks of connect, query and end', ...line },
  { number: 23, does: 'an error emitted on an idle client removes it; client and pool emit it in that turn', ...line },
  {
    number: 24,
    does: 'an error emitted on a lent client leaves it counted, and the pool does not emit it',
    ...differs('lent-error', 'a dead connection that keeps its place starves whoever waits for one'),
  },
  { number: 25, does: 'pool.query(function) calls back with an error', ...line },
  {
    number: 26,
    does: 'twenty bad queries on max 1 all reject, their client is destroyed, and the next query works',
    ...differs('sql-error', KEPT),
  },
  { number: 27, does: 'two connects to a server that resets both get an error, nobody hangs, and end works', ...line },
  {
    number: 28,
    does: 'pool._clients[0].end() during pool.query rejects that query',
    ...differs('private-fields', 'the engine keeps the records; the client itself is given to the connect event'),
  },

  { number: 29, does: 'connect is emitted before the callback, with the same client', ...line },
  { number: 30, does: 'connect is not emitted when connecting fails', ...line },
  { number: 31, does: 'acquire is emitted once for each lend: ten connects and ten queries are twenty', ...line },
  { number: 32, does: 'release is emitted once for each return, without an error and with the client', ...line },
  { number: 33, does: 'release is emitted with the error that was passed to release()', ...line },
  { number: 34, does: 'error is emitted with (error, client) for an idle client', ...line },

  { number: 35, does: 'an idle client is removed, and in the remove handler the counts are down already', ...line },
  { number: 36, does: 'one idle client is removed in its time although another was destroyed by an error', ...line },
  {
    number: 37,
    does: 'twenty rounds: with a timeout of 1 ms a client is gone after 2 ms, and made anew',
    ...differs('idle-grain', 'one timer looks after all idle connections, at most every 5 ms'),
  },
  {
    number: 38,
    does: 'a client that is used for longer than the idle timeout is not evicted; counts are exact after its release',
    ...line,
  },
  { number: 39, does: 'with allowExitOnIdle a program ends by itself and does not wait for the idle timeout', ...line },
  { number: 40, does: 'without allowExitOnIdle a program ends after its idle client was removed', ...line },

  { number: 41, does: 'no options at all: the environment says where to connect', ...line },
  { number: 42, does: 'options reach the client', ...line },
  { number: 43, does: 'a query with a callback and no parameters', ...line },
  { number: 44, does: 'a query with a callback and parameters', ...line },
  { number: 45, does: 'a failed connect goes to the callback of the query, and totalCount is 0', ...line },
  { number: 46, does: 'a failed connect calls back with no client and with a function to release', ...line },
  { number: 47, does: 'an idle client that dies is removed, is the client of the error, and its stream ends', ...line },
  { number: 48, does: 'the options object of the caller is not changed', ...line },
  { number: 49, does: 'connect(callback) returns undefined', ...line },
  { number: 50, does: 'query(callback) returns undefined', ...line },
  { number: 51, does: 'end(callback) returns undefined', ...line },
  { number: 52, does: 'connect never calls back in the turn of the call, even with an idle client', ...line },

  { number: 53, does: 'connect, query, release and end with promises', ...line },
  { number: 54, does: 'pool.query with promises', ...line },
  {
    number: 55,
    does: 'thirty checkouts at once on poolSize 9 leave totalCount 9',
    ...differs(
      'dial-if-needed',
      'a connection is made only if it serves sooner than a return; poolSize is a limit and no goal',
    ),
  },
  { number: 56, does: 'thirty queries given as { text, values }', ...line },
  { number: 57, does: 'pipeline: true reaches the client, and three queries at once work', ...line },
  { number: 58, does: 'pipeline is false by default', ...line },
  {
    number: 59,
    does: 'thirty failing queries leave totalCount 0 and idleCount 0, then a good one works',
    ...differs('sql-error', KEPT),
  },

  { number: 60, does: 'onConnect runs once for a client, also when it is lent again', ...line },
  { number: 61, does: 'onConnect may be asynchronous and may query', ...line },
  {
    number: 62,
    does: 'an onConnect that rejects fails the connect with that error',
    ...differs('connect-error', WRAPPED),
  },
  { number: 63, does: 'onConnect runs for pool.query too', ...line },
  { number: 64, does: 'the pool recovers after an onConnect that failed', ...line },
  { number: 65, does: 'onConnect runs once for each of two clients', ...line },
  { number: 66, does: 'ten failures of onConnect leave both counts at 0 and both places of use', ...line },
  {
    number: 67,
    does: 'what onConnect throws at once is the error of the connect',
    ...differs('connect-error', WRAPPED),
  },

  { number: 68, does: 'an idle client is removed when its lifetime is over, and expiredCount is 0', ...line },
  { number: 69, does: 'a busy client outlives its lifetime until its work is done', ...line },
  { number: 70, does: 'after that there is a new client, and the counts are exact', ...line },
  { number: 71, does: 'log is called', ...line },
  { number: 72, does: 'maxUses 2: after one use the client is kept', ...line },
  { number: 73, does: 'maxUses 2: the second release ends the client in that turn', ...line },
  { number: 74, does: 'maxUses 2: the third checkout is another client', ...line },
  {
    number: 75,
    does: 'a waiter gets a fresh client when the released one is used up; waitingCount is exact at each step',
    ...line,
  },
  { number: 76, does: 'log is told "remove expended client"', ...line },
  { number: 77, does: 'a client whose connection was ended is removed at its release', ...line },
  { number: 78, does: 'a client that its user has ended is removed at its release', ...line },

  { number: 79, does: 'max 1: one client serves', ...line },
  { number: 80, does: 'a waiter is served with the same client; waitingCount is 1 meanwhile', ...line },
  { number: 81, does: 'twenty queries on max 1 never overlap on the server', ...line },
  { number: 82, does: 'min 1 outlives a short idle timeout', ...line },
  {
    number: 83,
    does: 'maxUses takes a client away although min is 1',
    ...differs('min', 'min is kept open: what is used up goes, and a successor is made at once'),
  },
  {
    number: 84,
    does: 'the end of its lifetime takes a client away although min is 1',
    ...differs('min', 'min is kept open: the successor is made before the old one goes'),
  },
  { number: 85, does: 'min 2 of max 2 outlive a short idle timeout', ...line },
  { number: 86, does: 'what is idle above min is evicted', ...line },
  { number: 87, does: 'of two released together exactly min stays', ...line },
  {
    number: 88,
    does: '(pending there) pool.query(cursor) returns the cursor',
    ...none('pg-pool itself does not: the test is pending, and neither pool returns it'),
  },
  { number: 89, does: 'the error of verify reaches the caller', ...differs('connect-error', WRAPPED) },
];
