// How the pools that share a thread budget wake each other: one BroadcastChannel in each thread, which never keeps the process alive. A
// message says only that something has changed. Not `Atomics.waitAsync`: it was as quick, but cannot hold the loop, and Node 20 and 24
// exit without settling it (research on event loops, section 2).

import type { BroadcastChannel } from 'node:worker_threads';
import type { JoinWakes } from './thread-permits.ts';
import { workerThreads } from './worker-threads.ts';

interface Line {
  readonly channel: BroadcastChannel;
  readonly listeners: Set<() => void>;
}

/** Of this thread, by the channel's name. */
const lines = new Map<string, Line>();

function lineOf(name: string): Line {
  const known = lines.get(name);
  if (known !== undefined) return known;
  const channel = new (workerThreads().BroadcastChannel)(name);
  const listeners = new Set<() => void>();
  channel.onmessage = () => {
    for (const listener of [...listeners]) listener();
  };
  // Listening has it hold the process.
  channel.unref();
  const line = { channel, listeners };
  lines.set(name, line);
  return line;
}

/** Whoever joins by the same name hears the others. */
export function wakesBy(name: string): JoinWakes {
  return (woken) => {
    const line = lineOf(name);
    line.listeners.add(woken);
    return {
      shout() {
        line.channel.postMessage(0);
        // A channel does not hear itself.
        for (const listener of [...line.listeners]) if (listener !== woken) listener();
      },
      leave() {
        line.listeners.delete(woken);
        if (line.listeners.size > 0 || lines.get(name) !== line) return;
        lines.delete(name);
        line.channel.close();
      },
    };
  };
}

/** Wakes everybody, on behalf of a member that cannot do so any more. */
export function wakeAll(name: string): void {
  const { shout, leave } = wakesBy(name)(() => {});
  shout();
  leave();
}
