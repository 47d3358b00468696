// One pool for many threads: what another thread needs to make its part of it. Owns which options can cross and that no secret shows on the
// way; the limit that they share is the budget's, and sockets never cross.

import { createSecretKey, type KeyObject } from 'node:crypto';
import { types } from 'node:util';
import type { Worker } from 'node:worker_threads';
import type { Clock } from '../contracts/clock.ts';
import { OptionError } from '../contracts/errors.ts';
import type { Member } from '../contracts/permits.ts';
import { tasks } from '../diagnosis/tasks.ts';
import { builtin } from '../sharing/builtin.ts';
import { LatePermits } from '../sharing/late-permits.ts';
import { createThreadBudget, ThreadBudget, type ThreadBudgetHandle } from '../sharing/thread-budget.ts';
import { watchWorkers } from '../sharing/worker-deaths.ts';
import type { PoolOptions, PoolSettings } from './options.ts';

export interface ShareOptions {
  /** Threads that were started before: their permits come back when they end. Those that are started later are known. */
  workers?: readonly Worker[] | undefined;
}

/** Which class of pool it is. */
export type Face = 'oxbow' | 'pg' | 'null';

/** A pool, as it can be posted to another thread: `joinPool(handle)` there makes one with the same options under the same limit. */
export interface SharedPool {
  readonly oxbow: 'pool';
  readonly name: string;
  readonly face: Face;
  /** The options that can cross. A key, because that can be posted and shows nothing of what is in it. */
  readonly sealed: KeyObject;
  /** Options that were given and cannot cross. */
  readonly missing: readonly string[];
  readonly budget: ThreadBudgetHandle;
}

const FACES: ReadonlySet<Face> = new Set(['oxbow', 'pg', 'null']);

/** They are made of methods, which do not cross even where the object would. */
const NEVER: ReadonlySet<string> = new Set(['clock', 'driver', 'logger']);

/** What a budget is told of the pool's engine. */
interface Needy {
  readonly needs: number;
  readonly waiting: number;
}

export class Sharing {
  readonly permits: LatePermits;
  readonly #given: PoolOptions;
  readonly #face: Face;
  readonly #member: Member;
  #budget: ThreadBudget | undefined;
  /** It shares another limit already. */
  readonly #foreign: boolean;

  constructor({ given, options, settings }: PoolSettings, face: Face, clock: Clock, engine: () => Needy) {
    const { max, name } = settings;
    const { budget } = options;
    this.#given = given;
    this.#face = face;
    this.#member = {
      name,
      clock,
      max,
      needs: () => engine().needs,
      waiting: () => engine().waiting,
      detached: tasks.detached,
    };
    this.permits = new LatePermits(budget?.join(this.#member));
    this.#budget = budget instanceof ThreadBudget ? budget : undefined;
    this.#foreign = budget !== undefined && this.#budget === undefined;
  }

  /** The handle; the pool is a member of a thread budget from now on, with what it has open. `max` is the limit of a new one. */
  share(max: number, { workers = [] }: ShareOptions): SharedPool {
    if (this.#foreign)
      throw new OptionError(
        'budget',
        this.#given.budget,
        'none, or a thread budget: a pool shares one limit, and has another',
      );
    if (this.#budget === undefined) {
      const { held } = this.permits;
      if (held > max)
        throw new OptionError(
          'max',
          max,
          `at least ${held}, as many connections as there are: wait until resize() is done`,
        );
      this.#budget = createThreadBudget({ max });
      this.permits.plug(this.#budget.join(this.#member));
    }
    watchWorkers(workers);
    const cross: Record<string, unknown> = {};
    const missing: string[] = [];
    // A password that was read from another pool's options is not enumerable there.
    for (const name of Object.getOwnPropertyNames(this.#given)) {
      const value: unknown = Reflect.get(this.#given, name);
      if (value === undefined || name === 'budget') continue;
      if (!NEVER.has(name) && crosses(value)) cross[name] = laidOpen(value);
      else missing.push(name);
    }
    const sealed = createSecretKey(builtin('node:v8', 'share()').serialize(cross));
    return { oxbow: 'pool', name: this.#member.name, face: this.#face, sealed, missing, budget: this.#budget.share() };
  }
}

/** Whether a value arrives as it was: methods and private state would be left behind, without a word. */
function crosses(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  if (typeof value !== 'object' || value === null) return true;
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value) || types.isDate(value)) return true;
  if (Array.isArray(value)) return value.every(crosses);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return isPlain && fieldsOf(value).every((name) => crosses(Reflect.get(value, name)));
}

/** All but how it is to be shown, which a pool's own copy of `ssl` has: the pool made there has one too. */
function fieldsOf(value: object): string[] {
  const isShown = (name: string): boolean =>
    name !== 'toJSON' || Object.prototype.propertyIsEnumerable.call(value, name);
  return Object.getOwnPropertyNames(value).filter(isShown);
}

/** What is not enumerable would be left behind; pg makes `ssl.key` so, in the object that it is given. */
function laidOpen(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(laidOpen);
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value) || types.isDate(value)) return value;
  return Object.fromEntries(fieldsOf(value).map((name) => [name, laidOpen(Reflect.get(value, name))]));
}

/** What `joinPool()` was given, as options of the pool to be made, and which class that is. Throws `OptionError`. */
export function joined(
  handle: unknown,
  overrides: PoolOptions,
): { face: Face; options: PoolOptions; budget: ThreadBudgetHandle } {
  const { oxbow, face, sealed, missing, budget } = (
    typeof handle === 'object' && handle !== null ? handle : {}
  ) as SharedPool;
  const isOurs = types.isKeyObject(sealed) && Array.isArray(missing) && budget !== undefined && FACES.has(face);
  if (oxbow !== 'pool' || !isOurs)
    throw new OptionError('handle', handle, 'what pool.share() gave, as it came out of workerData or a message');
  if (typeof overrides !== 'object' || overrides === null)
    throw new OptionError('overrides', overrides, 'an object with options');
  if (overrides.budget !== undefined)
    throw new OptionError(
      'budget',
      overrides.budget,
      'nothing in joinPool(): the limit is that of the pool that is shared',
    );
  for (const name of missing)
    if (!Object.hasOwn(overrides, name))
      throw new OptionError(
        name,
        undefined,
        `it to be given again in joinPool(handle, { ${name} }): the pool that is shared has one, and it cannot cross to another thread`,
      );
  return {
    face,
    budget,
    options: { ...(builtin('node:v8', 'joinPool()').deserialize(sealed.export()) as PoolOptions), ...overrides },
  };
}
