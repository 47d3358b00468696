// Every channel that the pool has, as the objects themselves say.

import * as module from '../../src/telemetry/channels.ts';

interface Kind {
  readonly name: string;
  readonly kind: 'plain' | 'tracing';
}

const all: readonly unknown[] = Object.values(module);

export const channels: readonly Kind[] = all.flatMap((one): Kind[] => {
  if (one instanceof module.Plain) return [{ name: String(one.name), kind: 'plain' }];
  return one instanceof module.Tracing ? [{ name: String(one.name), kind: 'tracing' }] : [];
});
