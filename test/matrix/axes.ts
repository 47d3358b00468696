// The axes of the matrix and the product over them. The steps come from the engine's own registry; everything else that a
// case consists of is a list here. Owns how a case is named, so that one can be replayed alone:
//
//   MATRIX='scene=rollback/transaction,behaviour=never,disturbance=kill,moment=half' node --test build/test/matrix/*.test.js

/** How the step under test goes: `ok` at once, `throw` at once and without a promise; `slow` and `error` within its bound, `late` after it. */
export const BEHAVIOURS = ['ok', 'throw', 'slow', 'error', 'late', 'late-error', 'never'] as const;
export type BehaviourName = (typeof BEHAVIOURS)[number];

/** What else happens while that step is under way. */
export const DISTURBANCES = [
  'nothing',
  'abort', // the waiter's signal
  'timeout', // of the waiter
  'kill', // of the session in hand, or of another one where there is none
  'close', // at once
  'drain', // close with patience, serving those who wait
  'pause', // and resume, while borrowers wait
  'pause-reject', // and resume
  'resize', // to 1
  'replace',
  'trim',
  'check',
  'block', // the loop, for 2 s
  'sleep', // of the machine, for a minute
] as const;
export type DisturbanceName = (typeof DISTURBANCES)[number];

/**
 * When: in the turn in which the step begins, half-way, when its answer or its bound is due, or between its outcome and the
 * engine's next line.
 */
export const MOMENTS = ['begin', 'half', 'end', 'between'] as const;
export type Moment = (typeof MOMENTS)[number];

/**
 * Where: a pool of one; or one of three, two of them the floor and lent to somebody else for a while. There the step behaves so
 * once, or each time that it is taken.
 */
export const PLACES = ['alone', 'company', 'company-always'] as const;
export type Place = (typeof PLACES)[number];

export const PORTS = ['inert', 'scripted'] as const;
export type PortsName = (typeof PORTS)[number];

export interface Case {
  readonly scene: string;
  readonly behaviour: BehaviourName;
  readonly ports: PortsName;
  readonly disturbance: DisturbanceName;
  readonly moment: Moment;
  readonly place: Place;
}

/** Every case of one test: the same scene, behaviour and ports. */
export function casesOf(scene: string, behaviour: BehaviourName, ports: PortsName): Case[] {
  return DISTURBANCES.flatMap((disturbance) =>
    MOMENTS.flatMap((moment) => PLACES.map((place) => ({ scene, behaviour, ports, disturbance, moment, place }))),
  );
}

export function nameOf(it: Case): string {
  return Object.entries(it)
    .map(([axis, value]) => `${axis}=${value}`)
    .join(',');
}

/** Reads a filter as `nameOf` writes it, any part of it; `step` is the part of a scene before the slash. */
export function filterOf(text: string | undefined): (it: { readonly scene: string }) => boolean {
  const wanted = (text ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('='));
  return (it) => {
    const named = new Map<string, string>([...Object.entries(it), ['step', it.scene.split('/')[0] ?? '']]);
    return wanted.every(([axis, value]) => named.get(axis ?? '') === value);
  };
}
