// The axes of the matrix and the product over them. The steps come from the engine's own registry; everything else that a
// case consists of is a list here. Owns how a case is named, so that one can be replayed alone:
//
//   MATRIX='scene=rollback/transaction,behaviour=never,disturbance=kill,moment=half' node --test build/test/matrix/*.test.js

/** How the step under test goes. `slow` ends within its bound, `late` after it. */
export const BEHAVIOURS = ['ok', 'error', 'slow', 'slow-error', 'late', 'late-error', 'never'] as const;
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

/** When: in the turn in which the step begins, half-way, or when its answer or its bound is due. */
export const MOMENTS = ['begin', 'half', 'end'] as const;
export type Moment = (typeof MOMENTS)[number];

/** Whether the step behaves so this once, or whenever it is taken. */
export const EXTENTS = ['once', 'always'] as const;
export type Extent = (typeof EXTENTS)[number];

/** A pool of one; or of three, two of them the floor and lent to somebody else for a while. */
export const ROOMS = ['alone', 'company'] as const;
export type Room = (typeof ROOMS)[number];

/** `throwing`: as scripted, and whoever may throw does so, at once where that is possible. */
export const PORTS = ['inert', 'scripted', 'throwing'] as const;
export type PortsName = (typeof PORTS)[number];

export interface Case {
  readonly scene: string;
  readonly behaviour: BehaviourName;
  readonly ports: PortsName;
  readonly disturbance: DisturbanceName;
  readonly moment: Moment;
  readonly extent: Extent;
  readonly room: Room;
}

/** Every case of one test: the same scene, behaviour and ports. */
export function casesOf(scene: string, behaviour: BehaviourName, ports: PortsName): Case[] {
  return DISTURBANCES.flatMap((disturbance) =>
    MOMENTS.flatMap((moment) =>
      EXTENTS.flatMap((extent) =>
        ROOMS.map((room) => ({ scene, behaviour, ports, disturbance, moment, extent, room })),
      ),
    ),
  );
}

export function nameOf(it: Case): string {
  return Object.entries(it)
    .map(([axis, value]) => `${axis}=${value}`)
    .join(',');
}

/** Reads a filter as `nameOf` writes it, any part of it; `step` is the part of a scene before the slash. */
export function filterOf(text: string | undefined): (it: Case) => boolean {
  const wanted = (text ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('='));
  return (it) => {
    const named = new Map<string, string>([...Object.entries(it), ['step', it.scene.split('/')[0] ?? '']]);
    return wanted.every(([axis, value]) => named.get(axis ?? '') === value);
  };
}
