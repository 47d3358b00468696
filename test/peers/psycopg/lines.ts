// The comparison with psycopg_pool, line by line: each behaviour that its suite proves, in its class, with what Oxbow does and,
// where that differs, why. Data only; `proofs.ts` makes one test of each line that can be shown.

import type { Section } from './names.ts';

/** A line with a test of ours: we do the same, or differ on purpose. */
export interface Shown {
  readonly section: Section | 'better';
  readonly name: string;
  readonly class: 'same' | 'different' | 'better';
  /** The test file that proves it, without `.test.ts`. */
  readonly file: ProofFile;
  /** What Oxbow does. */
  readonly here: string;
  /** Why it is not the same. */
  readonly why?: string;
}

/** A line that has no meaning here. */
export interface Absent {
  readonly section: Section;
  readonly name: string;
  readonly class: 'not applicable';
  readonly why: string;
}

export type Line = Shown | Absent;

export const PROOF_FILES = ['filling', 'lending', 'server', 'both', 'both-server', 'null', 'better'] as const;
export type ProofFile = (typeof PROOF_FILES)[number];

/** What a proof is registered under. */
export function keyOf({ section, name }: Pick<Line, 'section' | 'name'>): string {
  return `${section} ${name}`;
}

function part(section: Section): {
  same(file: ProofFile, name: string, here: string): Shown;
  different(file: ProofFile, name: string, here: string, why: string): Shown;
  absent(name: string, why: string): Absent;
} {
  return {
    same: (file, name, here) => ({ section, name, class: 'same', file, here }),
    different: (file, name, here, why) => ({ section, name, class: 'different', file, here, why }),
    absent: (name, why) => ({ section, name, class: 'not applicable', why }),
  };
}

function better(number: number, file: ProofFile, here: string): Shown {
  return { section: 'better', name: String(number), class: 'better', file, here };
}

const normal = part('3.1');
const both = part('3.2');
const none = part('3.3');

const NORMAL: readonly Line[] = [
  normal.different(
    'filling',
    'default_sizes',
    'min 0, max 10',
    'the sizes of pg.Pool: who changes one import keeps them; a process that only imports a pool opens nothing',
  ),
  normal.different(
    'filling',
    'min_size_max_size',
    '(2, none), (0, 2), (2, 4) are accepted and reported; max is not lowered to min',
    'max alone is the limit; min says what is kept warm, and a pool of fixed size says both',
  ),
  normal.different(
    'filling',
    'bad_size',
    '(0, 0), (-1, none), (4, 2) throw an OptionError that names the option; (0, none) is legal',
    'min 0 with the default max is the normal case here',
  ),
  normal.different(
    'filling',
    'generic_connection_type',
    'the types of lease, session and configure follow the driver of createEngine; rows are typed per query',
    'the Pool is a pg.Pool, whose clients are pg.Client; what is generic is the engine of oxbow/core',
  ),
  normal.different(
    'server',
    'non_generic_connection_type',
    "a subclass of pg.Client with settings of its own is what is lent and configured; its static type is pg.Client's",
    'a pg.Pool is not generic over its client, and ORMs assign it without a cast',
  ),
  normal.same('server', 'its_really_a_pool', 'a third request reuses one of the two backends'),
  normal.same('lending', 'connection_not_lost', 'after an exception in the body the same connection is lent again'),
  normal.same(
    'filling',
    'concurrent_filling',
    'with two connects at a time of 100 ms five connections arrive at 100, 100, 200, 200, 300 ms',
  ),
  normal.same(
    'filling',
    'wait_ready',
    'four connects of 100 ms: one at a time they are late for 300 ms and in time for 500, two at a time in time for 300',
  ),
  normal.same(
    'server',
    'configure',
    'configure runs once per connection, its setting persists, and it runs again on the replacement',
  ),
  normal.same('server', 'reset', 'reset runs once per return, before the next borrower'),
  normal.same(
    'lending',
    'reset_badstate',
    'a reset that leaves a transaction open has the connection replaced, and the report names the state',
  ),
  normal.same(
    'lending',
    'reset_broken',
    'a reset that throws has the connection replaced, and the report carries the error',
  ),
  normal.same(
    'server',
    'intrans_rollback',
    'a return in a transaction is rolled back and reported, and the same backend is lent again',
  ),
  normal.same('server', 'inerror_rollback', 'a return in a failed transaction is rolled back and reported likewise'),
  normal.different(
    'server',
    'active_close',
    'a COPY still running at the return is cancelled and drained, reported, and the same backend is lent again',
    'closing the socket would leave the statement running on the server and cost a connect',
  ),
  normal.same(
    'lending',
    'fail_rollback_close',
    'a rollback that throws has the connection replaced, with a report of each step',
  ),
  normal.different(
    'server',
    'del_no_warning',
    'a pool that is dropped while open ends with its process, without a warning and without holding the process',
    'its sockets keep it alive until then: nothing in JavaScript is to be closed by garbage collection',
  ),
  normal.same('lending', 'closed_putconn', 'after a normal return the connection is open'),
  normal.same('filling', 'open_wait', 'open() waits for min connections and honours its timeout'),
  normal.different(
    'filling',
    'open_as_wait',
    'on a pool that is open already ready() waits for min and honours its timeout, and leaves the pool open',
    'a caller who loses patience is no reason to close the pool of all others',
  ),
  normal.different(
    'filling',
    'grow',
    'eight borrowers of 250 ms with connects of 100 ms: the pool dials for those who wait at once, not one by one',
    'growing one by one makes ten cold borrowers wait ten connects; the spike test still holds',
  ),
  normal.different(
    'filling',
    'shrink',
    'each surplus connection is closed when it has been idle for idleTimeoutMs, never below min',
    'idleTimeoutMs is what its name says, not the period of a sweep that closes one connection',
  ),
  normal.different(
    'filling',
    'reconnect',
    'dead connections are discarded at once; one prober retries with growing, jittered delays until the server is back',
    'full jitter from 50 ms to 10 s, for the pool and not for each connection: a restarted server is not stormed',
  ),
  normal.different(
    'filling',
    'reconnect_failure',
    'onReconnectFailed, sync or async, is called once after reconnectTimeoutMs; the next borrower is served by the pool that went on probing',
    'one outage is one call; probing never stops, at the slowest pace (at most 10 s between probes)',
  ),
  normal.same(
    'filling',
    'reconnect_after_grow_failed',
    'after giving up and a borrower that timed out, the server is back: a borrower is served and min is filled',
  ),
  normal.different(
    'filling',
    'refill_on_check',
    'after total loss and giving up min is restored by itself, without check() and without a borrower',
    'nobody should have to call check() for it',
  ),
  normal.different(
    'lending',
    'uniform_use',
    'eight uses one after the other are all of the same connection, the warmest',
    'LIFO keeps few connections warm and lets the others be trimmed',
  ),
  normal.different(
    'filling',
    'resize',
    '2 → 4 → 2 while it runs: a larger min is filled, what is idle above a smaller max is closed at once',
    'psycopg closes one per max_idle; here a resize is exact both ways',
  ),
  normal.same('filling', 'bad_resize', 'impossible sizes throw an OptionError and change nothing'),
  normal.same('lending', 'max_lifetime', 'a connection past its lifetime is replaced when it comes back, not before'),
  normal.same('lending', 'check', 'check() replaces a dead idle connection and keeps the three others'),
  normal.same('server', 'check_idle', 'check() leaves connections idle, outside a transaction'),
  normal.different(
    'server',
    'connect_no_check',
    'without any check option a killed backend is not lent: its socket told the pool',
    'idle sockets are watched here',
  ),
  normal.different(
    'server',
    'connect_check',
    'with a check a killed backend is never lent and the other one is kept; its death is reported, unless a check of the user found it first',
    'idle sockets are watched, check or no check, and a connection that died unasked is worth a line in the log',
  ),
  normal.different(
    'server',
    'getconn_check',
    'the same for hand-held connections: acquire() and connect()',
    'as for connect_check',
  ),
  normal.same(
    'lending',
    'connect_check_timeout',
    'with the server down a borrower fails at the timeout of the pool, and is served when it is back',
  ),
  normal.different(
    'lending',
    'check_max_lifetime',
    'an expired idle connection is replaced at its hour, without check() and without traffic',
    'upkeep looks at lifetimes by itself',
  ),
  normal.same(
    'filling',
    'stats_connect',
    'attempts, their times, failures, and the connections lost to a server that stopped are counted',
  ),
  normal.different(
    'lending',
    'stats_check',
    'a connection that the check refused counts as retired for "check", one that died as lost',
    "psycopg counts both as lost; the check's verdict is no death",
  ),
  normal.same('filling', 'spike', 'fifty borrowers of 2 ms on five connections with 150 ms connects stay below seven'),
  normal.same(
    'filling',
    'debug_deadlock',
    'a logger of every level and an observer of every event do not stop the filling',
  ),
  normal.same(
    'lending',
    'cancellation_in_queue',
    'nine borrowers on three connections, all aborted: three idle, none waiting, the pool is usable',
  ),
  normal.different(
    'lending',
    'cancelled_waiter_assigned_conn_is_reclaimed',
    'an abort in the turn of the hand-over: before it the abort wins and the connection stays idle; after it the borrower has the lease',
    'the hand-over is one turn, so there is no instant in between; use() gives the connection back on a late abort',
  ),
  normal.different(
    'lending',
    'check_backoff',
    'idle connections that fail the check cost one pass without back-off; fresh ones that fail it are dialled anew with growing delays until the deadline',
    'back-off between different connections makes a borrower wait for nothing; between connects it spares the server',
  ),
  normal.different(
    'lending',
    'check_returns_an_ok_connection',
    'a connection whose check failed, or left a transaction open, is replaced and never lent',
    'a connection of which the check says no is not worth a rollback',
  ),
  normal.different(
    'server',
    'override_close',
    'client.release() gives back what connect() lent; client.end() really ends it, and the next borrower has a new backend',
    "release() is pg's own word for it; end() means the end",
  ),
  normal.different(
    'lending',
    'close_returns',
    'leaving the scope of a lease (asyncDispose) gives the connection back; close() of the pool really closes it',
    'there is no option that changes what close means: a scope is the same to every library',
  ),
  normal.different(
    'server',
    'close_returns_custom_class',
    "clients of a subclass of pg.Client are given back by release(), and the pool's close ends each by the subclass's own end()",
    'release() is put on the client per checkout, whatever its class',
  ),
  normal.absent(
    'close_returns_custom_class_old',
    'about an option that there is not here, with drivers older than one version of psycopg',
  ),
  normal.same(
    'lending',
    'close_returns_no_loop',
    'an expired connection given back by its scope is replaced exactly once',
  ),
  normal.same(
    'server',
    'override_close_no_loop_subclass',
    'a worn-out client of a subclass given back by its own close method is replaced exactly once',
  ),
  normal.same(
    'server',
    'get_config_rotates_connections',
    'connection() is asked once per connect, and what it says is used',
  ),
  normal.same(
    'filling',
    'get_config_raise_exception',
    'a throwing connection() is retried with back-off; open() ends at its timeout with the error as cause; no busy loop',
  ),
];

const BOTH: readonly Line[] = [
  both.different(
    'both',
    'defaults',
    'acquireTimeoutMs 30 s, idleTimeoutMs 60 s (NullPool 0), maxLifetimeMs 1 h, connectConcurrency 3 (NullPool unlimited), created',
    'an idle limit of its own instead of one sweep per ten minutes; a null pool connects in parallel; nothing opens in a constructor',
  ),
  both.same('both-server', 'connection_class', 'the class given as Client is the class of what is lent'),
  both.same('both-server', 'kwargs', "every key of pg's client configuration reaches the connection"),
  both.same('both', 'context', 'open inside the scope, closed after it'),
  both.different(
    'both',
    'create_warning',
    'making a pool opens nothing and says nothing; in dev mode the first use of a pool never opened warns once; open() is silent',
    'no option opens in the constructor, so none has to be deprecated',
  ),
  both.same('both', 'wait_closed', 'ready() of a closed pool is a PoolClosedError'),
  both.same(
    'both',
    'setup_no_timeout',
    'open() without a server ends at its timeout; without waiting the pool lives and serves when the server appears',
  ),
  both.same(
    'both',
    'configure_badstate',
    'a connection that configure left in a transaction is never lent; open() times out and says why',
  ),
  both.same('both', 'configure_broken', 'nor is one on which configure threw; the error is the cause of the timeout'),
  both.same('both', 'queue', 'six borrowers of 200 ms on two connections end at 200, 200, 400, 400, 600, 600 ms'),
  both.same(
    'both',
    'queue_size',
    'maxWaiting 3, one busy, four more: one is refused with the name of the pool and the limit, and counted',
  ),
  both.same('both', 'queue_timeout', 'a queued borrower is refused at the timeout of the pool'),
  both.same('both', 'dead_client', 'a borrower that timed out swallows no connection; the others are served'),
  both.same('both', 'queue_timeout_override', "a call's own timeout beats the pool's"),
  both.same('both-server', 'broken_reconnect', 'a connection that its borrower ended is replaced by a new backend'),
  both.same('both', 'close_no_tasks', 'after close() there is no timer and no socket left'),
  both.different(
    'both',
    'putconn_no_pool',
    'a client that no pool lent has no way into one; a second release of one that was lent throws and harms nobody',
    'there is no putconn: giving back is a method of what was lent',
  ),
  both.different(
    'both',
    'putconn_wrong_pool',
    'what one pool lent goes back to that pool, whichever other pools there are',
    'there is no putconn to be called on the wrong pool',
  ),
  both.absent('del_stops_threads', 'of the synchronous twin alone: there are no threads behind a pool here'),
  both.same('both', 'closed_getconn', 'after close() a borrower is refused with PoolClosedError'),
  both.same(
    'both',
    'close_connection_on_pool_close',
    'a connection lent while the pool closes is closed when it comes back',
  ),
  both.same(
    'both',
    'closed_queue',
    'close() with one lent and one queued: the queued is refused, the lent one goes on working',
  ),
  both.different(
    'both',
    'open_explicit',
    'with autoOpen: false a pool refuses with "not open yet", later with "closed"; by default the first use opens it',
    'pg.Pool works without open(), and so must we; the option gives the strict manner',
  ),
  both.same('both', 'open_context', 'a scope around a pool that was opened before closes it as well'),
  both.same('both', 'open_no_op', 'a second open() does nothing'),
  both.same('both', 'reopen', 'a closed pool cannot be opened again: PoolClosedError'),
  both.different(
    'both',
    'jitter',
    'a hundred lifetimes stay between 75 and 100 % of maxLifetimeMs',
    'a band of 5 % lets connections that were born together die together',
  ),
  both.same('both', 'stats_measures', 'the gauges when idle, when three are busy, and when seven asked for four'),
  both.different(
    'both',
    'stats_usage',
    'seven borrowers on three connections: requests, queued, refused, uses and bad returns are counted; popStats zeroes',
    'times are distributions, and the wait of who was refused stands in its error, not among the waits that ended well',
  ),
  both.same('both', 'debug_deadlock', 'observers and loggers that throw do not stop the filling of either pool'),
  both.different(
    'both-server',
    'check_connection',
    'the liveness round trip leaves a connection idle, and a killed one is gone; neither is ever thrown at a caller',
    'there is no public check of one connection: check() reports figures',
  ),
  both.same('both', 'check_init', 'the check runs on a fresh connection too'),
  both.same('both', 'check_timeout', 'a check that always fails ends at the timeout of the borrower'),
  both.same('both', 'cancellation_in_queue', 'nine borrowers on three connections, all aborted: nothing is lost'),
  both.same('both', 'cancel_on_check', 'an abort during a check loses no connection, and the next borrower is served'),
  both.same(
    'both',
    'cancel_on_rollback',
    'an abort during a rollback loses no connection, and the next borrower is served',
  ),
  both.same(
    'both',
    'drain',
    'replaceAll() replaces idle connections now and lent ones at their return; then they are stable',
  ),
];

const NULL: readonly Line[] = [
  none.different(
    'null',
    'default_sizes',
    'min 0, max 10',
    'a pool without a limit is how a server is brought down; say a larger max where one is meant',
  ),
  none.same('null', 'min_size_max_size', '(0, 2) is accepted and reported'),
  none.same('null', 'bad_size', '(1, none), (-1, none), (0, -2) throw an OptionError'),
  none.different(
    'null',
    'generic_connection_type',
    'a NullPool is a Pool to the compiler: same leases, same clients, rows typed per query',
    'as for the normal pool',
  ),
  none.different(
    'both-server',
    'non_generic_connection_type',
    'a subclass of pg.Client with settings of its own is what a NullPool lends',
    'as for the normal pool',
  ),
  none.same('both-server', 'its_no_pool_at_all', 'a third request is a new backend'),
  none.same('null', 'wait_ready', 'a connect of 200 ms: open() is late for 100 ms and in time for 400'),
  none.same('null', 'configure', 'configure runs for each request'),
  none.different(
    'null',
    'reset',
    'a waiter gets the same connection after its reset; it runs on each return, also if nobody waits in the end',
    'who waits is known when the reset is over, not when it begins',
  ),
  none.same(
    'null',
    'reset_badstate',
    'a hand-over whose reset leaves a transaction open: the waiter gets a new connection',
  ),
  none.same('null', 'reset_broken', 'a hand-over whose reset throws: the waiter gets a new connection'),
  none.same('null', 'no_queue_timeout', 'a server that never answers: PoolTimeoutError at the timeout'),
  none.same(
    'both-server',
    'intrans_rollback',
    'a hand-over in a transaction is rolled back, the waiter has the same backend',
  ),
  none.same('both-server', 'inerror_rollback', 'a hand-over in a failed transaction likewise'),
  none.different(
    'both-server',
    'active_close',
    'a hand-over with a statement running is cancelled and drained first; the waiter has the same backend',
    'as for the normal pool',
  ),
  none.same('null', 'fail_rollback_close', 'a hand-over whose rollback throws: the waiter gets a new connection'),
  none.same('null', 'closed_putconn', 'a returned connection is closed'),
  none.same('null', 'bad_resize', 'impossible sizes throw an OptionError and change nothing'),
  none.same('null', 'max_lifetime', 'a handed-over connection is replaced when it has expired'),
  none.same('null', 'check', 'check() has nothing to do'),
  none.same('null', 'stats_connect', 'open() is one attempt, timed'),
  none.same(
    'null',
    'cancellation_in_queue',
    'nine borrowers on three connections, all aborted: none is left, the pool is usable',
  ),
  none.different(
    'null',
    'close_returns',
    'leaving the scope of a lease really closes the connection, unless somebody waits',
    'there is no such option, and none is needed for it',
  ),
];

const BETTER: readonly Line[] = [
  better(3, 'better', 'who timed out or aborted leaves the queue in that turn; limits and gauges count the living'),
  better(4, 'better', 'any number of dead idle connections cost one pass; the borrower has the first replacement'),
  better(5, 'better', 'expiry is looked at on hand-out, and a connection that dies idle is gone by its socket event'),
  better(
    7,
    'better',
    'a connect, check, reset or rollback that hangs is bounded and blocks neither others nor close()',
  ),
  better(
    8,
    'better',
    'close() refuses waiters first, gives lent ones their time, then cuts; concurrent calls are one; nothing is left',
  ),
  better(9, 'better', 'resize is exact both ways after growth, and the cap counts what is being closed'),
  better(10, 'better', 'ten cold borrowers connect in parallel up to the limit, and the spike still opens nothing'),
  better(
    11,
    'better',
    'ready() counts lent connections, may be called by many at once, and never closes a healthy pool',
  ),
  better(
    12,
    'better',
    'min is restored after an outage without a borrower, one outage is one event, and a fault for good fails at once',
  ),
  better(13, 'better', 'a NullPool connects in parallel and keeps a timeout below a second'),
  better(
    14,
    'server',
    'session state is cleared by a named policy, and use after release and double release are errors',
  ),
  better(15, 'server', 'COMMIT of a failed transaction is an error to the caller'),
  better(
    16,
    'better',
    'every option is validated, every error has a code, stats are gauges, counters and distributions',
  ),
];

export const LINES: readonly Line[] = [...NORMAL, ...BOTH, ...NULL, ...BETTER];
