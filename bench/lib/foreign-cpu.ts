// What the whole machine's cores were busy with, from the kernel's accounting: what is left of it beyond one's own is other people's work. Linux
// only; elsewhere there is no figure.

import { readFileSync } from 'node:fs';

const TICK_US = 10_000;

/** From the first line of `/proc/stat`, in microseconds: everything but idle and waiting for disks; guests are in `user` already. */
export function busyIn(line: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_US;
}

export function busyUs(): number {
  try {
    return busyIn(readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '');
  } catch {
    return Number.NaN;
  }
}
