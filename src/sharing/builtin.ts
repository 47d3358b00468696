// Modules of Node that not every runtime has which a pool is bundled for: asked for where they are needed, so that `import 'oxbow'` needs none
// of them. Owns what is said where one is missing.

import process from 'node:process';

interface Modules {
  'node:v8': typeof import('node:v8');
  'node:worker_threads': typeof import('node:worker_threads');
}

/** Throws an error that names the module and `what` needs it. */
export function builtin<K extends keyof Modules>(name: K, what: string): Modules[K] {
  const found: unknown = process.getBuiltinModule(name);
  if (found === undefined) throw new Error(`${what} needs ${name}, which this runtime does not have`);
  return found as Modules[K];
}
