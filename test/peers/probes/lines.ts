// The regression probes as data: what is done, which fault which peer shows, and what must be so with us. Owns the words only; each row
// has one body per peer and one for ours, by its number.

export type Peer = 'pg' | 'pg-pool' | 'postgres.js' | 'slonik';

export interface Line {
  readonly number: number;
  readonly probe: string;
  /** What must be so. */
  readonly ours: string;
  /** What each of them does instead. */
  readonly theirs: Readonly<Partial<Record<Peer, string>>>;
}

export const lines: readonly Line[] = [
  {
    number: 1,
    probe: 'one connection is given back as broken, and its close never completes, while somebody waits',
    ours: 'the waiter is served on a new connection, ahead of whoever comes later',
    theirs: { 'pg-pool': 'the waiter is not served, and a newcomer overtakes it' },
  },
  {
    number: 2,
    probe: 'end() while somebody waits, and then the holder gives back',
    ours: 'the waiter is rejected as the pool is closed, or served where that was asked for',
    theirs: { 'pg-pool': 'the waiter is pending after the pool has ended' },
  },
  {
    number: 3,
    probe: 'released twice, with another borrower in between',
    ours: 'the stale release of a lease, or one that was kept, throws, and the new owner is unaffected',
    theirs: { 'pg-pool': 'the stale release is accepted, two hold one client, and the release of the owner throws' },
  },
  {
    number: 4,
    probe: 'a look at the sockets when end() has resolved',
    ours: 'they are closed',
    theirs: { 'pg-pool': 'one is still open' },
  },
  {
    number: 5,
    probe: 'a hook for new connections that takes longer than the connect timeout',
    ours: 'one deadline over all phases: the borrower is rejected in time',
    theirs: { 'pg-pool': 'the borrower is served long after the timeout' },
  },
  {
    number: 6,
    probe: 'BEGIN, and the connection is given back',
    ours: 'it is rolled back and reported with the call site, and the next borrower is in no transaction',
    theirs: {
      'pg-pool': 'the next borrower is in the transaction',
      'postgres.js': 'the next query is in the transaction',
      slonik: 'the slot is dead: the next borrower waits, with nobody holding anything',
    },
  },
  {
    number: 7,
    probe: "the driver's query_timeout, a plain release, and the next query",
    ours: 'the statement is cancelled, and the next query does not wait for it',
    theirs: { 'pg-pool': 'the next query waits behind the old statement' },
  },
  {
    number: 8,
    probe: 'an SQL error of a query through the pool',
    ours: 'the connection stays',
    theirs: { 'pg-pool': 'the connection is thrown away', slonik: 'the connection is thrown away' },
  },
  {
    number: 9,
    probe: 'a long query, a short one and four quick ones on two connections',
    ours: 'no quick one ends after the long one',
    theirs: { 'postgres.js': 'quick ones are parked behind the long one while the other connection is free' },
  },
  {
    number: 10,
    probe: 'a backend killed inside a transaction, another query that connects anew, one more write, and a rollback',
    ours: 'the write is rejected, and the row is absent',
    theirs: { 'postgres.js': 'the write is accepted outside of any transaction, and the row persists' },
  },
  {
    number: 11,
    probe: 'BEGIN through the pool, outside of a transaction',
    ours: 'it is refused and not sent',
    theirs: { 'postgres.js': 'it is refused after it was executed, and the session stays in the transaction' },
  },
  {
    number: 12,
    probe: 'a value whose serialiser throws, and the named statement used again',
    ours: 'the name is forgotten and prepared anew',
    theirs: { pg: '26000, each time' },
  },
  {
    number: 13,
    probe: 'DISCARD ALL in a reset hook, and a named statement used again',
    ours: 'the names are forgotten with it',
    theirs: { pg: '26000, each time' },
  },
  {
    number: 14,
    probe: 'COPY FROM STDIN by text with other queries behind it',
    ours: 'it fails alone, and no neighbour suffers',
    theirs: { pg: 'the connection is lost, and all neighbours fail' },
  },
  {
    number: 15,
    probe: 'two uses of a new name at once, whose Parse fails',
    ours: 'each has its own error',
    theirs: { pg: 'the second has 26000' },
  },
  {
    number: 16,
    probe: 'a cancel request for one statement that arrives after its end',
    ours: 'nothing is started until the cancel has ended',
    theirs: { pg: 'the next statement dies with 57014' },
  },
  {
    number: 17,
    probe: 'closing with a query that hangs',
    ours: 'the close is bounded, then the socket is destroyed',
    theirs: { pg: 'a client that pipelines waits for it, where one that does not is gone at once' },
  },
  {
    number: 18,
    probe: 'one connection, and 20 000 queries in a tick',
    ours: 'one is written at a time, the rest is queued and can be cancelled',
    theirs: { pg: 'all are written at once' },
  },
];
