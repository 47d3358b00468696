// The closed lists of reasons under which things are counted, and the shape of a distribution. No state.

/** Why a request was refused. */
export type RefusalReason =
  | 'timeout'
  | 'aborted'
  | 'closed'
  | 'paused'
  | 'queue-full'
  | 'deadlock'
  | 'connect'
  | 'nested';

/** Why a connection was given up on purpose. */
export type RetireReason =
  | 'lifetime'
  | 'idle'
  | 'uses'
  | 'replaced'
  | 'resized'
  | 'check'
  | 'reset'
  | 'condemned'
  | 'released'
  | 'budget'
  | 'trimmed'
  | 'closed';

/** How a lease came back. */
export type ReturnOutcome = 'clean' | 'rolled-back' | 'reset' | 'cancelled' | 'condemned';

/** Milliseconds; percentiles are exact to within 6 % (the width of a bucket). All zero while `count` is 0. */
export interface Distribution {
  count: number;
  mean: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}
