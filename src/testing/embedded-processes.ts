// Looks at processes and ends them, synchronously, so that it works in an 'exit' handler too.
// Reads the process table where the system shows it as files, asks `ps` elsewhere. Never touches a process whose command line
// does not name the server's own folder: a number may have been given to a stranger meanwhile. Knows nothing of PostgreSQL's protocol.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const TABLE = '/proc';
const hasTable = existsSync(join(TABLE, 'self', 'stat'));

interface Row {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

function rowOf(pid: number): Row | undefined {
  let line: string;
  try {
    line = readFileSync(join(TABLE, String(pid), 'stat'), 'latin1');
  } catch {
    return undefined; // ended between the listing and the look
  }
  // "pid (name) state parent …", and a name may hold anything, brackets included.
  const [state = '', parent = ''] = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return { pid, parent: Number(parent), state };
}

function ps(...args: string[]): string {
  const run = spawnSync('ps', args, { encoding: 'utf8' });
  if (run.error) throw new Error('embeddedPostgres() needs the command `ps` on this system', { cause: run.error });
  return run.stdout;
}

function rows(): Row[] {
  if (hasTable) {
    const pids = readdirSync(TABLE).filter((name) => /^\d+$/.test(name));
    return pids.map((pid) => rowOf(Number(pid))).filter((row) => row !== undefined);
  }
  return ps('-A', '-o', 'pid=,ppid=,state=')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, parent, state]) => ({ pid: Number(pid), parent: Number(parent), state: state ?? '' }));
}

function stateOf(pid: number): string {
  return hasTable ? (rowOf(pid)?.state ?? '') : ps('-p', String(pid), '-o', 'state=').trim();
}

/** Whether it still runs; one that ended and was not yet collected by its parent does not. */
export function runs(pid: number): boolean {
  const state = stateOf(pid);
  return state !== '' && !state.startsWith('Z') && !state.startsWith('X');
}

/** Every process below `pid`, nearest first. */
export function descendantsOf(pid: number): number[] {
  const all = rows();
  const found: number[] = [];
  for (let generation = [pid]; generation.length > 0; ) {
    generation = all.filter((row) => generation.includes(row.parent)).map((row) => row.pid);
    found.push(...generation);
  }
  return found;
}

/** Whether `pid` runs with `folder` on its command line. */
function belongsTo(pid: number, folder: string): boolean {
  if (!runs(pid)) return false;
  try {
    const command = hasTable
      ? readFileSync(join(TABLE, String(pid), 'cmdline'), 'utf8')
      : ps('-ww', '-p', String(pid), '-o', 'command=');
    return command.includes(folder);
  } catch {
    return false; // ended this moment
  }
}

/** Sends a signal; false if there is no such process any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks until `condition` holds; false if it did not within the bound. */
function blockUntil(condition: () => boolean, withinMs: number): boolean {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited >= withinMs) return false;
    Atomics.wait(never, 0, 0, 5);
  }
  return true;
}

/** Stops `pid` and everything below it where they stand; returns when all of them do stand still. */
export function freeze(pid: number): void {
  signal(pid, 'SIGSTOP'); // the parent first: then nobody is born any more
  if (!blockUntil(() => stateOf(pid).startsWith('T'), 2_000)) throw new Error(`process ${pid} could not be stopped`);
  const below = descendantsOf(pid);
  for (const child of below) signal(child, 'SIGSTOP');
  blockUntil(() => below.every((child) => !runs(child) || stateOf(child).startsWith('T')), 2_000);
}

/** Lets everything that `freeze` stopped go on. */
export function thaw(pid: number): void {
  for (const child of descendantsOf(pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

/** The number in a data folder's lock file, for a server that was started and never reported. */
function lockedBy(folder: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined; // no lock file: no server
  }
}

/** Ends the server (or the initdb) that works in `folder`, with all below it. Blocks, at the longest about six seconds. */
export function endSync(folder: string, known?: number): void {
  for (const pid of new Set([known, lockedBy(folder)])) {
    if (pid === undefined || !belongsTo(pid, join(folder, 'data'))) continue;
    const all = [pid, ...descendantsOf(pid)];
    thaw(pid); // a stopped process heeds nothing
    // Not SIGKILL at first: a killed server leaves its System V shared memory segment behind for ever. An initdb's child
    // is not signalled at all for the same reason: it ends by itself when its input ends.
    signal(pid, 'SIGQUIT');
    if (blockUntil(() => !all.some(runs), 3_000)) continue;
    for (const child of descendantsOf(pid)) signal(child, 'SIGKILL');
    if (blockUntil(() => !all.some(runs), 2_000)) continue;
    for (const one of all) if (one === pid || runs(one)) signal(one, 'SIGKILL');
    blockUntil(() => !all.some(runs), 1_000);
  }
}

/** Removes a folder with everything in it. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}
