// Who waits for whom, over all pools of the process (DESIGN B21). Owns the answer whether a set of pools can still move by itself, and whose
// refusal would set it free. Pure but for the list of pools; ends nothing, and never looks into a store.
//
//   pool A, wholly lent          pool B, wholly lent
//   lease 1 ← task t ──waits──→  lease 7 ← task u ──waits──→ A          a jam: t and u
//
// A pool is stuck if every connection is lent, none has a statement running, and the task of each lease has a descendant that waits for a
// pool which is stuck as well: the largest such set, found by striking out what is not.

import type { DeadlockGraph, Jam, Party, Wait } from '../contracts/deadlocks.ts';
import type { Task } from '../contracts/task-context.ts';

/** What a task, or a descendant of it, waits for. */
interface Waiting {
  readonly parties: Set<Party>;
  /** For how long the one that came first has waited. */
  ageMs: number;
}

export class Deadlocks implements DeadlockGraph {
  readonly #parties = new Set<Party>();

  join(party: Party): void {
    this.#parties.add(party);
  }

  leave(party: Party): void {
    this.#parties.delete(party);
  }

  look(party: Party): Jam | undefined {
    if (!mayBeStuck(party)) return undefined;
    const stuck = new Set([...this.#parties].filter((other) => other === party || mayBeStuck(other)));
    let waiting = waitingIn(stuck);
    for (let struck = true; struck; ) {
      struck = false;
      for (const one of stuck) {
        if (isStuck(one, waiting)) continue;
        stuck.delete(one);
        struck = true;
      }
      if (!stuck.has(party)) return undefined;
      if (struck) waiting = waitingIn(stuck);
    }
    return jamOf(knot(party, waiting), waiting);
  }
}

/** Cheap, and true of hardly any pool: who waits is not looked at before. */
function mayBeStuck(party: Party): boolean {
  if (!party.still) return false;
  for (const { task } of party.loans()) if (task === undefined) return false;
  return true;
}

function waitingIn(parties: ReadonlySet<Party>): Map<Task, Waiting> {
  const waiting = new Map<Task, Waiting>();
  for (const party of parties) {
    const now = party.now();
    for (const { task, since } of party.waits()) {
      for (let at = task; at !== undefined; at = at.parent) {
        const entry = waiting.get(at);
        if (entry === undefined) waiting.set(at, { parties: new Set([party]), ageMs: now - since });
        else {
          entry.parties.add(party);
          entry.ageMs = Math.max(entry.ageMs, now - since);
        }
      }
    }
  }
  return waiting;
}

function isStuck(party: Party, waiting: ReadonlyMap<Task, Waiting>): boolean {
  for (const { task } of party.loans()) if (task === undefined || !waiting.has(task)) return false;
  return true;
}

/**
 * Of all that `party` waits for, the part that waits for nothing else: ending a wait elsewhere would free nobody in it, and whoever only
 * waits for it is served once it moves.
 */
function knot(party: Party, waiting: ReadonlyMap<Task, Waiting>): Set<Party> {
  let least = reachable(party, waiting);
  for (const one of least) {
    const from = reachable(one, waiting);
    if (from.size < least.size) least = from;
  }
  return least;
}

/** `party`, and whatever its tasks wait for: another jam somewhere else is another matter. */
function reachable(party: Party, waiting: ReadonlyMap<Task, Waiting>): Set<Party> {
  const found = new Set([party]);
  for (const one of found) {
    for (const { task } of one.loans()) {
      if (task !== undefined) for (const next of waiting.get(task)?.parties ?? []) found.add(next);
    }
  }
  return found;
}

function jamOf(parties: ReadonlySet<Party>, waiting: ReadonlyMap<Task, Waiting>): Jam | undefined {
  let forMs = Infinity;
  const holding = new Set<Task>();
  for (const party of parties) {
    const now = party.now();
    forMs = Math.min(forMs, now - party.movedAt);
    for (const { task, quietSince } of party.loans()) {
      if (task === undefined) return undefined;
      holding.add(task);
      forMs = Math.min(forMs, now - quietSince, waiting.get(task)?.ageMs ?? 0);
    }
  }
  const victim = youngest(parties, holding);
  if (victim === undefined) return undefined;
  return { forMs, victim, cycle: [...parties].flatMap((party) => party.holders()) };
}

/** Of those who wait on behalf of a task that holds something; whoever else waits only stands in line. Who may be turned away comes first. */
function youngest(parties: ReadonlySet<Party>, holding: ReadonlySet<Task>): Jam['victim'] | undefined {
  let victim: Jam['victim'] | undefined;
  let ageMs = Infinity;
  for (const party of parties) {
    const now = party.now();
    for (const wait of party.waits()) {
      if (!isOf(wait, holding)) continue;
      const better = victim === undefined || (party.turnsAway && !victim.party.turnsAway);
      const worse = victim !== undefined && !party.turnsAway && victim.party.turnsAway;
      if (worse || (!better && now - wait.since > ageMs)) continue;
      victim = { party, wait };
      ageMs = now - wait.since;
    }
  }
  return victim;
}

function isOf({ task }: Wait, holding: ReadonlySet<Task>): boolean {
  for (let at = task; at !== undefined; at = at.parent) if (holding.has(at)) return true;
  return false;
}

/** The process has one. */
export const deadlocks: Deadlocks = new Deadlocks();
