// Who waits for whom, over scripted pools: what is a jam, whose refusal would set it free, and since when nothing moves (DESIGN B21). At the
// end random pools against a reference that tries every set of them.
//
//   DEADLOCK_SEED=n     one case only: the one with this seed

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Jam, Loan, Party, Wait } from '../../src/contracts/deadlocks.ts';
import type { Task } from '../../src/contracts/task-context.ts';
import { Deadlocks } from '../../src/diagnosis/deadlock-graph.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

function task(parent?: Task): Task {
  return { parent };
}

/** A pool that is wholly lent and still, unless a test says otherwise. Its clock says 1 000 by default. */
class ScriptedParty implements Party {
  readonly name: string;
  readonly lent: Loan[] = [];
  readonly queue: Wait[] = [];
  clock = 1_000;
  still = true;
  movedAt: number = -Infinity;
  turnsAway = true;

  constructor(name = 'a') {
    this.name = name;
  }

  lend(to: Task | undefined, quietSince = 0): this {
    this.lent.push({ task: to, quietSince });
    return this;
  }

  wait(who: Task | undefined, since = 0): Wait {
    const wait = { task: who, since };
    this.queue.push(wait);
    return wait;
  }

  now(): number {
    return this.clock;
  }

  loans(): Iterable<Loan> {
    return this.lent;
  }

  waits(): Iterable<Wait> {
    return this.queue;
  }

  holders(): { id: number; heldMs: number; idleMs: number; busy: boolean; pool: string }[] {
    return this.lent.map((_, n) => ({ id: n + 1, heldMs: 0, idleMs: 0, busy: false, pool: this.name }));
  }

  end(): void {
    assert.fail('the graph ends nothing');
  }
}

function graphOf(...parties: Party[]): Deadlocks {
  const graph = new Deadlocks();
  for (const party of parties) graph.join(party);
  return graph;
}

function poolsIn(jam: Jam | undefined): (string | undefined)[] {
  return [...new Set(jam?.cycle.map(({ pool }) => pool))].sort();
}

test('a task that holds the only connection and waits for another is a jam, and its wait is the victim', () => {
  const [a, t] = [new ScriptedParty(), task()];
  a.lend(t);
  const wait = a.wait(t);
  const jam = graphOf(a).look(a);
  assert.deepEqual(jam?.victim, { party: a, wait });
  assert.deepEqual(jam?.cycle, a.holders());
});

test('it is as well if a call inside a call inside the task waits', () => {
  const [a, t] = [new ScriptedParty(), task()];
  a.lend(t);
  const wait = a.wait(task(task(t)));
  assert.equal(graphOf(a).look(a)?.victim.wait, wait);
});

test('a wait of the task around the one that holds is none: the inner one does not wait', () => {
  const [a, outer] = [new ScriptedParty(), task()];
  a.lend(task(outer));
  a.wait(outer);
  assert.equal(graphOf(a).look(a), undefined);
});

test('a borrower outside all tasks, waiting or holding, is no part of a jam', () => {
  const [a, b, t] = [new ScriptedParty(), new ScriptedParty('b'), task()];
  a.lend(t);
  a.wait(undefined);
  assert.equal(graphOf(a).look(a), undefined, 'nobody of the task waits');
  b.lend(t).lend(undefined);
  b.wait(t);
  assert.equal(graphOf(b).look(b), undefined, 'the lease by hand may come back');
});

test('five tasks that hold five connections and wait for a sixth are a jam; with one of them at work there is none', () => {
  const a = new ScriptedParty();
  const tasks = Array.from({ length: 5 }, () => task());
  const waits = tasks.map((t, n) => {
    a.lend(t);
    return a.wait(t, 100 + n);
  });
  const graph = graphOf(a);
  assert.equal(graph.look(a)?.victim.wait, waits[4]);
  assert.equal(graph.look(a)?.cycle.length, 5);
  a.queue.shift();
  assert.equal(graph.look(a), undefined, 'the first does not wait any more');
});

test('a pool that is not still is no part of a jam', () => {
  const [a, t] = [new ScriptedParty(), task()];
  a.lend(t);
  a.wait(t);
  a.still = false;
  assert.equal(graphOf(a).look(a), undefined);
});

test('a pool that has left is none either, and is looked at no more', () => {
  const [a, b, t, u] = [new ScriptedParty('a'), new ScriptedParty('b'), task(), task()];
  a.lend(t);
  b.wait(t);
  b.lend(u);
  a.wait(u);
  const graph = graphOf(a, b);
  assert.ok(graph.look(a));
  graph.leave(b);
  assert.equal(graph.look(a), undefined);
});

test('two pools whose tasks wait for each other crosswise are one jam, whichever is asked', () => {
  const [a, b, t, u] = [new ScriptedParty('a'), new ScriptedParty('b'), task(), task()];
  a.lend(t);
  b.lend(u);
  b.wait(t, 10);
  const victim = a.wait(u, 20);
  const graph = graphOf(a, b);
  for (const party of [a, b]) {
    const jam = graph.look(party);
    assert.deepEqual(poolsIn(jam), ['a', 'b']);
    assert.deepEqual(jam?.victim, { party: a, wait: victim });
  }
  b.still = false;
  assert.equal(graph.look(a), undefined, 'something runs in the other one');
});

test('three pools in a ring are a jam of three; a fourth connection that nobody waits with breaks it', () => {
  const ring = ['a', 'b', 'c'].map((name) => new ScriptedParty(name));
  const [a, b, c] = ring as [ScriptedParty, ScriptedParty, ScriptedParty];
  ring.forEach((party, n) => {
    const t = task();
    party.lend(t);
    ring[(n + 1) % 3]?.wait(t, n);
  });
  const graph = graphOf(...ring);
  for (const party of ring) assert.deepEqual(poolsIn(graph.look(party)), ['a', 'b', 'c']);
  assert.equal(graph.look(b)?.victim.party, a, 'the task that holds c came last');
  c.lend(task());
  for (const party of ring) assert.equal(graph.look(party), undefined);
});

test('a ring beside an honest pool is a jam of the ring alone, and the honest pool is in none', () => {
  const [a, b, honest] = ['a', 'b', 'honest'].map((name) => new ScriptedParty(name)) as [
    ScriptedParty,
    ScriptedParty,
    ScriptedParty,
  ];
  const [t, u] = [task(), task()];
  a.lend(t);
  b.lend(u);
  b.wait(t);
  a.wait(u);
  honest.lend(task()).lend(task());
  honest.wait(task(), 900);
  const graph = graphOf(honest, a, b);
  assert.deepEqual(poolsIn(graph.look(a)), ['a', 'b']);
  assert.equal(graph.look(honest), undefined);
});

test('a pool whose tasks only wait for a jam elsewhere is shown that jam: refusing one of its own would free nobody in it', () => {
  const [a, b, t, u] = [new ScriptedParty('a'), new ScriptedParty('b'), task(), task()];
  b.lend(u);
  const victim = b.wait(u, 0);
  a.lend(t);
  b.wait(t, 500);
  a.wait(task(), 600);
  const jam = graphOf(a, b).look(a);
  assert.deepEqual(poolsIn(jam), ['b']);
  assert.deepEqual(jam?.victim, { party: b, wait: victim });
  assert.equal(jam?.forMs, 1_000, 'and for how long that one has lasted');
});

test('a bystander who waits and holds nothing is not the victim, though he is younger', () => {
  const [a, t] = [new ScriptedParty(), task()];
  a.lend(t);
  const wait = a.wait(t, 100);
  a.wait(undefined, 200);
  a.wait(task(), 300);
  assert.equal(graphOf(a).look(a)?.victim.wait, wait);
});

test('the victim is the youngest of those who wait for a holder, however deep inside', () => {
  const [a, t, u] = [new ScriptedParty(), task(), task()];
  a.lend(t).lend(u);
  a.wait(t, 300);
  const deep = a.wait(task(task(u)), 500);
  a.wait(u, 400);
  assert.equal(graphOf(a).look(a)?.victim.wait, deep);
});

test('a waiter of a pool that turns nobody away is the victim only if there is no other', () => {
  const [a, b, t, u] = [new ScriptedParty('a'), new ScriptedParty('b'), task(), task()];
  a.lend(t);
  b.lend(u);
  const older = b.wait(t, 10);
  const younger = a.wait(u, 20);
  a.turnsAway = false;
  for (const graph of [graphOf(a, b), graphOf(b, a)]) assert.equal(graph.look(a)?.victim.wait, older);
  b.turnsAway = false;
  assert.equal(graphOf(a, b).look(a)?.victim.wait, younger);
});

test('it has lasted since the last of these: a statement ended, a task began to wait, a victim was turned away', () => {
  const [a, t, u] = [new ScriptedParty(), task(), task()];
  a.lend(t, 300).lend(u, 100);
  a.wait(t, 200);
  a.wait(u, 150);
  const graph = graphOf(a);
  assert.equal(graph.look(a)?.forMs, 700, 'since the statement');
  a.wait(u, 600);
  assert.equal(graph.look(a)?.forMs, 700, 'one more wait of a task that waits already changes nothing');
  a.queue.splice(1, 1);
  assert.equal(graph.look(a)?.forMs, 400, 'since the wait');
  a.movedAt = 900;
  assert.equal(graph.look(a)?.forMs, 100, 'since the refusal');
});

test('each pool’s times are read by its own clock', () => {
  const [a, b, t, u] = [new ScriptedParty('a'), new ScriptedParty('b'), task(), task()];
  b.clock = 1_000_000;
  a.lend(t, 800);
  b.lend(u, 999_000);
  b.wait(t, 999_900);
  const victim = a.wait(u, 950);
  const jam = graphOf(a, b).look(b);
  assert.equal(jam?.forMs, 50);
  assert.equal(jam?.victim.wait, victim, '50 ms is younger than 100');
});

// Against a reference

interface Case {
  readonly parties: readonly ScriptedParty[];
  readonly tasks: readonly Task[];
}

function caseOf(seed: number): Case {
  const { random } = new VirtualClock({ seed });
  const below = (n: number): number => Math.floor(random() * n);
  const tasks: Task[] = [];
  for (let n = 2 + below(6); n > 0; n -= 1) tasks.push(task(random() < 0.3 ? tasks[below(tasks.length)] : undefined));
  const any = (): Task | undefined => (random() < 0.04 ? undefined : tasks[below(tasks.length)]);
  const parties = Array.from({ length: 1 + below(4) }, (_, n) => {
    const party = new ScriptedParty(`p${n}`);
    party.still = random() < 0.93;
    party.turnsAway = random() < 0.7;
    party.clock = 1_000 * (1 + below(3));
    if (random() < 0.2) party.movedAt = party.clock - below(100);
    for (let loans = 1 + below(2); loans > 0; loans -= 1) party.lend(any(), party.clock - below(500));
    return party;
  });
  for (let n = below(10); n > 0; n -= 1) {
    const party = parties[below(parties.length)] as ScriptedParty;
    party.wait(any(), party.clock - below(500));
  }
  return { parties, tasks };
}

function descends(from: Task | undefined, ancestor: Task): boolean {
  return from !== undefined && (from === ancestor || descends(from.parent, ancestor));
}

function subsetsOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: 2 ** all.length }, (_, bits) => all.filter((_one, n) => (bits >> n) & 1));
}

function ages(parties: readonly ScriptedParty[], of: (wait: Wait) => boolean): number[] {
  return parties.flatMap((party) => party.queue.filter(of).map(({ since }) => party.clock - since));
}

/** By the definition: within `set` nothing moves. */
function isStuck(set: readonly ScriptedParty[]): boolean {
  return set.every(
    ({ still, lent }) =>
      still && lent.every(({ task: t }) => t !== undefined && ages(set, (wait) => descends(wait.task, t)).length > 0),
  );
}

/** Whether somebody who holds a connection of `one` waits for `other`. */
function waitsFor(one: ScriptedParty, other: ScriptedParty): boolean {
  return one.lent.some(({ task: t }) => t !== undefined && other.queue.some((wait) => descends(wait.task, t)));
}

/** What the graph should see from `party`: the smallest stuck set that waits for nothing stuck outside, of those to be reached. */
function expected({ parties }: Case, party: ScriptedParty): ScriptedParty[][] {
  const stuck = subsetsOf(parties).filter((set) => set.length > 0 && isStuck(set));
  const all = parties.filter((one) => stuck.some((set) => set.includes(one)));
  if (!all.includes(party)) return [];
  const near = new Set([party]);
  for (const one of near) for (const next of all) if (waitsFor(one, next)) near.add(next);
  const closed = subsetsOf(all.filter((one) => near.has(one))).filter(
    (set) => set.length > 0 && set.every((one) => all.every((next) => set.includes(next) || !waitsFor(one, next))),
  );
  return closed.filter(
    (set) => !closed.some((less) => less.length < set.length && less.every((one) => set.includes(one))),
  );
}

/** What was met, so that a reference that says "none" to everything is noticed. */
const met = { none: 0, one: 0, several: 0, elsewhere: 0, warned: 0 };

function check(seed: number): void {
  const one = caseOf(seed);
  const graph = graphOf(...one.parties);
  for (const party of one.parties) {
    const jam = graph.look(party);
    const sets = expected(one, party);
    if (jam === undefined || sets.length === 0) {
      assert.deepEqual([jam, sets], [undefined, []]);
      met.none += 1;
      continue;
    }
    const set = sets.find((names) => names.map(({ name }) => name).join() === poolsIn(jam).join());
    assert.ok(set, `sees ${poolsIn(jam)}`);
    met[set.length === 1 ? 'one' : 'several'] += 1;
    if (!set.includes(party)) met.elsewhere += 1;
    const holding = set.flatMap(({ lent }) => lent.flatMap(({ task: t }) => (t === undefined ? [] : [t])));
    const forHolder = (wait: Wait): boolean => holding.some((t) => descends(wait.task, t));
    const willing = set.filter(({ turnsAway }) => turnsAway);
    const willingAges = ages(willing, forHolder);
    const youngest = Math.min(...(willingAges.length > 0 ? willingAges : ages(set, forHolder)));
    const { party: whose, wait } = jam.victim;
    if (willingAges.length === 0) met.warned += 1;
    assert.equal(whose.turnsAway, willingAges.length > 0);
    assert.equal(whose.now() - wait.since, youngest);
    assert.ok(forHolder(wait) && set.some((each) => each === whose && each.queue.includes(wait)));
    const since = set.flatMap((each) => [
      each.clock - each.movedAt,
      ...each.lent.map(({ quietSince }) => each.clock - quietSince),
    ]);
    const waited = holding.map((t) => Math.max(...ages(set, (each) => descends(each.task, t))));
    assert.equal(jam.forMs, Math.min(...since, ...waited));
  }
}

test('random pools, tasks and waits: it sees what a search through all sets of pools finds', () => {
  const only = Number(process.env.DEADLOCK_SEED ?? Number.NaN);
  const seeds = Number.isNaN(only) ? Array.from({ length: 4_000 }, (_, n) => n + 1) : [only];
  for (const seed of seeds) {
    try {
      check(seed);
    } catch (error) {
      throw new Error(`DEADLOCK_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  if (seeds.length > 1) for (const [what, times] of Object.entries(met)) assert.ok(times >= 20, `${what}: ${times}`);
});
