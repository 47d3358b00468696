// Why a request failed, as a closed list. Owns which causes the faults of the demo explain; anything else is a fault of ours.

import { isOxbowError, PoolTimeoutError } from '../../src/doors/index.ts';

/** Each with what explains it. */
export const ALLOWED = {
  'connection lost': 'killed, or down with the server, while the request held it',
  'no server in time': 'the restart refused connects until the deadline was over',
  'serialization failure': 'collided in each of 6 tries (40001, 40P01)',
} as const;

export type AllowedCause = keyof typeof ALLOWED;
/** Any other text stands for something that nobody expected. */
export type Cause = AllowedCause | `unexpected: ${string}`;

export function isAllowed(cause: string): cause is AllowedCause {
  return Object.hasOwn(ALLOWED, cause);
}

export const COLLISIONS: ReadonlySet<string> = new Set(['40001', '40P01']);

/** SQLSTATE, or whatever else the error calls itself. */
export function codeOf(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : '';
}

export function causeOf(error: unknown): Cause {
  if (isOxbowError(error) && error.kind === 'CONNECTION_LOST') return 'connection lost';
  // A timeout is explained by the restart only if connects were failing while it waited: then it says so.
  if (error instanceof PoolTimeoutError && error.cause !== undefined) return 'no server in time';
  if (COLLISIONS.has(codeOf(error))) return 'serialization failure';
  const text = error instanceof Error ? `${error.name} ${codeOf(error)} ${error.message}` : String(error);
  return `unexpected: ${text.replaceAll(/\s+/g, ' ')}`;
}
