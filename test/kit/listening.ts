// Subscribing to the pool's diagnostics channels for one test: everything that is told there, in its order, and the undo.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';

const PARTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

interface Told {
  /** `start` and so on; `told` on a plain channel. */
  readonly part: string;
  /** The message as it was then. */
  readonly message: Record<string, unknown>;
}

interface Scope {
  after(fn: () => void): void;
}

function hear(scope: Scope, names: readonly (readonly [channel: string, part: string])[], told: Told[]): void {
  for (const [name, part] of names) {
    const note = (message: unknown): void => void told.push({ part, message: { ...Object(message) } });
    subscribe(name, note);
    scope.after(() => void unsubscribe(name, note));
  }
}

/** What is told on a plain channel, until the scope ends. */
export function listen(scope: Scope, name: string): Told[] {
  const told: Told[] = [];
  hear(scope, [[name, 'told']], told);
  return told;
}

/** What is told on the five channels of a tracing channel, or on some of them, until the scope ends. */
export function listenToTrace(scope: Scope, name: string, parts: readonly string[] = PARTS): Told[] {
  const told: Told[] = [];
  hear(
    scope,
    parts.map((part) => [`tracing:${name}:${part}`, part]),
    told,
  );
  return told;
}

export function partsOf(told: readonly Told[]): string[] {
  return told.map(({ part }) => part);
}
