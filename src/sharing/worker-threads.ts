// Node's threads, for those who share a limit among them. Owns that a program which shares nothing needs no such module.

import { builtin } from './builtin.ts';

export function workerThreads(): typeof import('node:worker_threads') {
  return builtin('node:worker_threads', 'a limit that threads share');
}
