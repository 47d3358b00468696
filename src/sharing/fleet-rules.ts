// What a member of a fleet concludes from what it sees and hears: pure functions, the same for the real thing and for its simulation. Knows no
// server, no session, no time.

import { fairShares } from './fair-share.ts';
import type { CensusEntry } from './fleet-sql.ts';

/** What one that seeks asks of the others. */
export interface Appeal {
  readonly member: number;
  /** With the member it names what was said: each session of a pool hears it, and one in a transaction hears it late. */
  readonly seq: number;
  /** How many permits it could use. */
  readonly want: number;
  /** It has none at all. */
  readonly bare: boolean;
  /** It has less than its share: who has theirs leaves what comes free to it. */
  readonly short: boolean;
  /** Who has more than its share and gives how many of them, and what that share is. The others give what they do not use. */
  readonly gives: readonly (readonly [member: number, count: number, share: number])[];
}

/** A payload of NOTIFY has to stay below 8 000 bytes. */
const MOST_GIVERS = 200;

/** How a member stands among the others. */
export interface Standing {
  readonly share: number;
  readonly held: number;
  readonly members: number;
  readonly seekers: number;
  readonly used: number;
  readonly gives: Appeal['gives'];
}

/**
 * How `me` stands, by a census that may be a moment old. Whoever seeks could use any number, whoever does not is taken to need what it has.
 * What cannot be divided evenly goes to who has least; between equals `turn`, any number, decides: were it always the same order, it would
 * always be the same ones who give.
 */
export function standing(
  census: readonly CensusEntry[],
  me: { readonly member: number; readonly held: number; readonly want: number },
  limit: number,
  floor: number,
  turn: number,
): Standing {
  const others = census.filter(({ member }) => member !== me.member);
  const all = [...others, { member: me.member, held: me.held, seeks: true }].sort(
    (one, other) => one.held - other.held || lot(one.member, turn) - lot(other.member, turn),
  );
  const claims = all.map(({ member, held, seeks }) => ({
    demand: member === me.member ? held + me.want : seeks ? limit : held,
    floor,
  }));
  const shares = fairShares(limit, claims);
  const share = shares[all.findIndex(({ member }) => member === me.member)] ?? 0;
  const short = Math.max(0, share - me.held);
  const gives: [number, number, number][] = [];
  let found = 0;
  // Who is furthest above its share gives first.
  const over = all
    .map(({ member, held }, at) => ({ member, held, share: shares[at] ?? 0 }))
    .filter((one) => one.member !== me.member && one.held > one.share)
    .sort((one, other) => other.held - other.share - (one.held - one.share));
  for (const one of over) {
    if (found >= short || gives.length >= MOST_GIVERS) break;
    const count = Math.min(one.held - one.share, short - found);
    gives.push([one.member, count, one.share]);
    found += count;
  }
  const used = all.reduce((sum, { held }) => sum + held, 0);
  const seekers = all.filter(({ seeks }) => seeks).length;
  return { share, held: me.held, members: all.length, seekers, used, gives };
}

function lot(member: number, turn: number): number {
  return Math.imul(member ^ turn, 0x9e3779b1) >>> 0;
}

/** How often a seeker tries again by itself, in milliseconds: with many of them the server has no more to do than with a few. */
export function paceMs(seekers: number): number {
  return Math.max(200, 20 * seekers);
}

/** With so many seekers one that has its share does not stay: it comes back after a while. */
const CROWD = 8;
const REST_MS = 1_000;
/** A few seekers all look for a permit that was told free; of more, so many do on average, and the next one's turn is not far. */
const FEW = 4;
const WOKEN = 2;

/** How long such a one stays away, in milliseconds, at least. */
export function restMs(seekers: number): number {
  return Math.max(REST_MS, paceMs(seekers));
}

/** Whether one of `seekers` looks for a permit that was told free; `chance` is a random number below 1. */
export function wakes(seekers: number, chance: number): boolean {
  return seekers <= FEW || chance * seekers < WOKEN;
}

export function staysOn({ share, held, seekers }: Standing): boolean {
  return held < share || seekers <= CROWD;
}

export function appealText({ member, seq, want, bare, short, gives }: Appeal): string {
  return JSON.stringify([member, seq, want, bare ? 2 : short ? 1 : 0, gives]);
}

/** Says that a permit is about to come free. */
export function freedText(member: number, seq: number): string {
  return JSON.stringify([member, seq]);
}

/** What was heard, and from whom. */
export interface Heard {
  readonly member: number;
  readonly seq: number;
  /** Undefined: a permit has just come free. */
  readonly appeal: Appeal | undefined;
}

/** Undefined for anything else. */
export function readPayload(payload: string): Heard | undefined {
  try {
    const said = JSON.parse(payload) as unknown[];
    const [member, seq] = said.slice(0, 2).map(Number) as [number, number];
    if (said.length === 2 && areNumbers(said)) return { member, seq, appeal: undefined };
    const [, , want, need, gives] = said;
    if (!areNumbers(said.slice(0, 4)) || !Array.isArray(gives) || !gives.every(isGiver)) return undefined;
    const appeal = { member, seq, want: Number(want), bare: need === 2, short: Number(need) > 0, gives };
    return { member, seq, appeal };
  } catch {
    return undefined;
  }
}

/** Anybody may speak on this channel, and another version of us may mean something else. */
function isGiver(value: unknown): value is Appeal['gives'][number] {
  return Array.isArray(value) && value.length === 3 && areNumbers(value);
}

function areNumbers(values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'number');
}
