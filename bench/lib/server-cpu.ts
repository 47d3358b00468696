// CPU time of a server that is a family of processes, from the kernel's accounting: the parent, its children, and those of them that ended.
// Linux only; elsewhere, or without a process id, there is no figure.

import { readFileSync } from 'node:fs';

/** The kernel shows these times in hundredths of a second, whatever its own clock is. */
const TICK_US = 10_000;

interface Times {
  readonly own: number;
  /** Of children that ended and were waited for. */
  readonly ended: number;
}

/** From the line of `/proc/PID/stat`, in microseconds. */
export function timesIn(line: string): Times {
  // "pid (name) state …", and a name may hold anything, brackets included.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const at = (field: number): number => Number(fields[field - 3]) * TICK_US;
  return { own: at(14) + at(15), ended: at(16) + at(17) };
}

function timesOf(pid: number | string): Times {
  try {
    return timesIn(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return { own: 0, ended: 0 }; // ended between the listing and the look: then it is in its parent's sum
  }
}

/** What the scheduler counted for a process of one thread: exact, where `stat` knows whole ticks. */
function runUsOf(pid: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1_000;
  } catch {
    return timesOf(pid).own;
  }
}

/** Microseconds since the server began; NaN where nobody says. */
export function serverCpuUs(pid: number | undefined): number {
  if (pid === undefined) return Number.NaN;
  for (let tries = 0; ; tries += 1) {
    const before = timesOf(pid);
    let children: string;
    try {
      children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    } catch {
      return Number.NaN;
    }
    const alive = children.split(' ').filter((one) => one.trim() !== '');
    const sum = alive.reduce((all, one) => all + runUsOf(one), 0);
    const after = timesOf(pid);
    // One that was waited for meanwhile would count twice, or not at all.
    if (after.ended === before.ended || tries === 10) return runUsOf(String(pid)) + after.ended + sum;
  }
}
