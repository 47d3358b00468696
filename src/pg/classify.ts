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
/** PgBouncer: max_client_conn; Supavisor and pgcat: a pool of theirs is full. */
const FULL = /\b(?:no more connections allowed|max clients reached|max client connections reached|too many clients)\b/i;
const HOST = new Set(['57P01', '57P02']);

export function classify(error: unknown): Fault {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  const message = error instanceof Error ? error.message : '';
  if (typeof code === 'string') {
    // Poolers say so in words of their own, PgBouncer as a violation of the protocol.
    if (FULL.test(message)) return 'full';
    if (code.startsWith('28') || PERMANENT.has(code)) return 'permanent';
    if (code === '53300') return 'full';
    if (HOST.has(code)) return 'host';
    return 'transient';
  }
  // pg: no password was given though the server asks for one; the server has no TLS though it was asked for.
  if (message.startsWith('SASL:') || message.includes('does not support SSL')) return 'permanent';
  return error instanceof TypeError ? 'permanent' : 'transient';
}

/**
 * The same error with a text that says something, and without what must not be shown: Node's error for several refused
 * addresses has no message, its error for a bad URL carries the URL with the password in it.
 */
export function legible(error: unknown): Error {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  if (code === 'ERR_INVALID_URL') return coded('the connection string is not a valid URL', 'ERR_INVALID_URL');
  if (!(error instanceof Error)) return coded(String(error), undefined);
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
