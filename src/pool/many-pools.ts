// How many pools one process uses for the same purpose. Owns what counts as the same, and the one warning about it.
// A module that is evaluated again on each reload, or a pool made for each request, is seen here before the server is full.

import pg from 'pg';
import type { Phase } from '../contracts/phase.ts';
import type { Reporter } from '../contracts/reporter.ts';
import type { Personality } from '../core/option-table.ts';
import { brand, type Making, type Origin, originOf } from './origin.ts';
import { processRegistry } from './process-registry.ts';

const MANY = 3;

interface Used {
  readonly name: string;
}

/**
 * Brands `pool`, counts it while it is in use, and reports the third one with the same settings in this process: server, database, user,
 * `application_name`; once for the same settings, whichever copies of the package they come from. Not counted are pools that were never
 * used, are closing or closed, or were forgotten and collected, those with a driver of their own or a budget, and those whose server a
 * function tells. Pools with a `name` of their own, or with a key of `globalPool`, are meant to be apart: only others of the same name are the same.
 * Call what is returned at each change of phase.
 */
export function enrol<P extends Used & object>(
  pool: P,
  made: Making & { readonly client: Readonly<Record<string, unknown>> },
  personality: Personality,
  reporter: Reporter,
): (to: Phase) => void {
  const { client } = made;
  const origin = brand(pool, made, personality, reporter);
  const ref = new WeakRef<P>(pool);
  let settings: string | undefined;
  return (to) => {
    if (to === 'paused') return;
    const used = to === 'opening' || to === 'open';
    if (used && settings === undefined) {
      settings = settingsOf(origin, client);
      if (settings !== undefined) enter(settings, ref, origin, pool.name);
    } else if (!used && settings !== undefined) {
      leave(settings, ref);
      settings = undefined;
    }
    if (to !== 'closing' && to !== 'closed') return;
    const { keyed } = processRegistry();
    if (origin.key !== undefined && keyed.get(origin.key) === pool) keyed.delete(origin.key);
  };
}

/** Undefined where they are not known before a connect. */
function settingsOf({ given, key }: Origin, client: Readonly<Record<string, unknown>>): string | undefined {
  // Pools with a budget have one limit, however many they are.
  if (given.driver !== undefined || given.budget !== undefined || client.connection !== undefined) return undefined;
  try {
    // pg reads URLs, its own defaults and the environment; a function that makes sockets is not called for that.
    const { stream: _, ...withoutStream } = client;
    const probe = new pg.Client(withoutStream);
    const { host, port, database, user } = probe;
    const parameters: unknown = Reflect.get(probe, 'connectionParameters');
    const application: unknown = Reflect.get(Object(parameters), 'application_name');
    return JSON.stringify([host, port, database, user, application, given.name, key]);
  } catch {
    return undefined; // the connect will say what is wrong
  }
}

function enter(settings: string, ref: WeakRef<Used & object>, origin: Origin, name: string): void {
  const { used, warned } = processRegistry();
  const pools = used.get(settings) ?? new Set();
  used.set(settings, pools);
  pools.add(ref);
  const alive: string[] = [];
  for (const other of pools) {
    const shown = living(other);
    if (shown === undefined) pools.delete(other);
    else alive.push(shown);
  }
  if (alive.length < MANY || warned.has(settings)) return;
  warned.add(settings);
  const message = `${name} is the third pool that this process uses ${purpose(settings)}, and each has its own "max": ${alive.join(', ')}. Make one for the whole process and import it; globalPool(key, create) keeps one over reloads; pools that are meant to be apart want a "name" each`;
  origin.report({ code: 'OXBOW_MANY_POOLS', message, site: origin.site() });
}

function leave(settings: string, ref: WeakRef<object>): void {
  const { used } = processRegistry();
  const pools = used.get(settings);
  pools?.delete(ref);
  if (pools?.size === 0) used.delete(settings);
}

/** A pool in words, with the place where it was made; undefined if it was collected. One that closes has left by itself. */
function living(ref: WeakRef<object>): string | undefined {
  const pool = ref.deref();
  if (pool === undefined) return undefined;
  return `${String(Reflect.get(pool, 'name'))} made at ${originOf(pool)?.site() ?? 'an unknown place'}`;
}

function purpose(settings: string): string {
  const [host, port, database, user]: unknown[] = JSON.parse(settings);
  return `for ${String(user)} at ${String(host)}:${String(port)}/${String(database)}`;
}
