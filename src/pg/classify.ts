// What a failed connect means (DESIGN B4): a pure table over SQLSTATE, Node's error codes and the few errors of pg that have
// neither.

import type { Fault } from '../contracts/driver.ts';

/** Trying again with the same settings cannot help. */
const PERMANENT = new Set([
  '3D000',
  '3F000',
  '42501',
  '42704',
  'INVALID_OPTION',
  'ERR_INVALID_URL',
  'ERR_INVALID_ARG_TYPE',
  'ERR_SOCKET_BAD_PORT',
]);
/** PgBouncer: max_client_conn and its like; Supavisor and pgcat: a pool of theirs is full. */
const FULL =
  /\b(?:no more connections allowed|client connections exceeded|max clients reached|max client connections reached|too many clients)\b/i;
const HOST = new Set(['57P01', '57P02']);

/** PgBouncer has one SQLSTATE for all that it says itself; its words, as of 1.18, tell apart what it will never accept. */
const POOLER = '08P01';
const POOLER_PARAMETER = /^unsupported startup parameter/;
const POOLER_PERMANENT = /^(?:unsupported startup parameter|no such (?:database|user)|"trust" authentication failed)/;

/** What it says to whoever it never passed on to a server. */
const POOLER_REFUSED = /^(?:server login has been failing|pgbouncer cannot connect to server|query_wait_timeout)/;

/** Whether a statement that ended with this error never reached a server. */
export function neverRan(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'code') === POOLER && POOLER_REFUSED.test(error.message);
}

export function classify(error: unknown): Fault {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  const message = error instanceof Error ? error.message : '';
  if (typeof code === 'string') {
    // Poolers say so in words of their own, PgBouncer as a violation of the protocol.
    if (FULL.test(message)) return 'full';
    if (code.startsWith('28') || PERMANENT.has(code)) return 'permanent';
    if (code === '53300') return 'full';
    if (code === POOLER && POOLER_PERMANENT.test(message)) return 'permanent';
    if (HOST.has(code)) return 'host';
    return 'transient';
  }
  // pg: no password was given though the server asks for one; the server has no TLS though it was asked for.
  if (message.startsWith('SASL:') || message.includes('does not support SSL')) return 'permanent';
  return error instanceof TypeError ? 'permanent' : 'transient';
}

const PARAMETER_HINT =
  'a pooler such as PgBouncer passes on no such parameter: set it for the role on the server (ALTER ROLE … SET …), or have it ' +
  "dropped by naming it in PgBouncer's ignore_startup_parameters";

/**
 * The same error with a text that says something, and without what must not be shown: Node's error for several refused
 * addresses has no message, its error for a bad URL carries the URL with the password in it.
 */
export function legible(error: unknown): Error {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  if (code === 'ERR_INVALID_URL') return coded('the connection string is not a valid URL', 'ERR_INVALID_URL');
  if (!(error instanceof Error)) return coded(String(error), undefined);
  if (code === POOLER && POOLER_PARAMETER.test(error.message)) error.message += ` (${PARAMETER_HINT})`;
  if (error instanceof AggregateError && error.message === '') {
    return coded(
      error.errors.map((one: unknown) => (one instanceof Error ? one.message : String(one))).join('; '),
      code,
    );
  }
  return error;
}

function coded(message: string, code: unknown): Error {
  const error = new Error(message);
  return code === undefined ? error : Object.assign(error, { code });
}
