// An engine from options as a user writes them. Owns the checking of these options and which of them are hooks.

import type { Clock } from '../contracts/clock.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import { OptionError } from '../contracts/errors.ts';
import type { EngineOptions } from '../contracts/options.ts';
import { noTasks } from '../contracts/task-context.ts';
import { systemClock } from '../foundation/system-clock.ts';
import { Engine } from './engine.ts';
import type { Hooks, Ports, Settings } from './household.ts';
import { resolveOptions } from './resolve-options.ts';

/** The pool's options, with the driver's sessions where those of PostgreSQL have clients. */
export interface CoreOptions<S extends Session> extends Omit<EngineOptions<S, Engine<S>>, 'clock' | 'driver'> {
  /** What opens sessions. */
  readonly driver: Driver<S>;
  readonly clock?: Clock | undefined;
  /** What is left out is the inert part. */
  readonly ports?: Partial<Ports> | undefined;
}

const NONE: ReadonlySet<string> = new Set(['ports']);

/** A pool inside one event loop, over any driver. Makes no connection until it is used or opened. Throws `OptionError`. */
export function createEngine<S extends Session>(options: CoreOptions<S>): Engine<S> {
  const { ports, ...given } = options;
  if (typeof given.driver !== 'object' || given.driver === null) {
    throw new OptionError('driver', given.driver, 'an object with the methods open, classify');
  }
  const { engine: resolved } = resolveOptions<S, Engine<S>>(given, { personality: 'oxbow', foreignKeys: NONE });
  const { check, reset, configure, onReconnectFailed } = resolved;
  const settings: Settings = {
    ...resolved,
    name: resolved.name ?? 'pool',
    check: typeof check === 'function' ? 'custom' : check,
    reset: typeof reset === 'function' ? 'custom' : reset,
    pgManners: false,
  };
  const clock = resolved.clock ?? systemClock;
  const budget = resolved.budget?.join({
    name: settings.name,
    clock,
    max: settings.max,
    needs: () => engine.needs,
    waiting: () => engine.waiting,
    detached: (work) => (ports?.tasks ?? noTasks).detached(work),
  });
  const hooks: Hooks<S> = {
    configure,
    check: typeof check === 'function' ? check : undefined,
    reset: typeof reset === 'function' ? reset : undefined,
    onReconnectFailed: onReconnectFailed && ((error) => onReconnectFailed(engine, error)),
  };
  const engine: Engine<S> = new Engine<S>({
    settings,
    clock,
    driver: given.driver,
    hooks,
    ports: { ...(budget === undefined ? {} : { permits: budget }), ...ports },
  });
  return engine;
}
