// Makes a contestant, in the process that is its own. Nobody loads another one's library: each is imported when asked for.

import type { Name } from './line-up.ts';
import type { Target } from './target.ts';
import type { Queries } from './workloads.ts';

const MAKE: Readonly<Record<Name, (target: Target) => Promise<Queries>>> = {
  ours: async (target) => (await import('./pg-shaped.ts')).ours(target),
  'ours, prepare false': async (target) => (await import('./pg-shaped.ts')).ours(target, { prepare: false }),
  'ours, speaker pg': async (target) => (await import('./pg-shaped.ts')).ours(target, { speaker: 'pg' }),
  'ours again': async (target) => (await import('./pg-shaped.ts')).ours(target),
  'pg-pool': async (target) => (await import('./pg-shaped.ts')).pgPool(target),
  'pg-pool, pipeline': async (target) => (await import('./pg-shaped.ts')).pgPool(target, { pipeline: true }),
  'postgres.js': async (target) => (await import('./postgres-js.ts')).postgresJs(target, true),
  'postgres.js, unsafe by default': async (target) => (await import('./postgres-js.ts')).postgresJs(target, false),
  'Bun.sql': async (target) => (await import('./bun-sql.ts')).bunSql(target),
  'limit: a bare socket': async (target) => (await import('./bare-socket.ts')).bareSocket(target),
  slonik: async (target) => (await import('./slonik.ts')).slonik(target),
};

export function make(name: Name, target: Target): Promise<Queries> {
  return MAKE[name](target);
}
