// The axes of the driver's matrix, and how a case is named, so that one can be replayed alone:
//
//   WIRE='scene=query/rollback,behaviour=never,disturbance=kill,moment=half' node --test build/test/matrix/wire/*.test.js

/**
 * How the other side goes about the step under test: at once, within its bound, in two pieces, with an error at once or within its bound,
 * after its bound, never; or the connection dies over it: by the server's word, by its end, by a reset.
 */
export const BEHAVIOURS = [
  'ok',
  'slow',
  'torn',
  'error',
  'slow-error',
  'late',
  'late-error',
  'never',
  'fatal',
  'close',
  'reset',
] as const;
export type BehaviourName = (typeof BEHAVIOURS)[number];

/** What else happens while that step is under way. */
export const DISTURBANCES = [
  'nothing',
  'abort', // the signals of whoever holds the connection and of the first who waits
  'timeout', // of the first who waits
  'kill', // of the server's process in hand, or of another one where there is none
  'close', // at once
  'drain', // close with patience, serving those who wait
  'block', // the loop, for 2 s
] as const;
export type DisturbanceName = (typeof DISTURBANCES)[number];

/** In the turn in which the step begins, half-way, just before its answer or its bound, and between the answer and the next line. */
export const MOMENTS = ['begin', 'half', 'end', 'between'] as const;
export type Moment = (typeof MOMENTS)[number];

/** A pool of one; or one of three, two of them lent to somebody else for a while. */
export const PLACES = ['alone', 'company'] as const;
export type Place = (typeof PLACES)[number];

export interface Case {
  readonly scene: string;
  readonly behaviour: BehaviourName;
  readonly disturbance: DisturbanceName;
  readonly moment: Moment;
  readonly place: Place;
}

/** Every case of one test: the same scene and behaviour. */
export function casesOf(scene: string, behaviour: BehaviourName): Case[] {
  return DISTURBANCES.flatMap((disturbance) =>
    MOMENTS.flatMap((moment) => PLACES.map((place) => ({ scene, behaviour, disturbance, moment, place }))),
  );
}

export function nameOf(it: Case): string {
  return Object.entries(it)
    .map(([axis, value]) => `${axis}=${value}`)
    .join(',');
}
