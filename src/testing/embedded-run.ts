// Runs PostgreSQL's programs: as whom, with which environment, within which bound. PostgreSQL refuses to run as root, so root
// runs it as another user. Knows neither where the programs lie nor what they do.

import { spawn, spawnSync } from 'node:child_process';

/** The user a server runs as; undefined: the one we are. */
export interface RunAs {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Finished {
  readonly ok: boolean;
  /** What it printed, both streams, and how it ended. */
  readonly text: string;
}

function id(flag: '-u' | '-g', user: string): number | undefined {
  const run = spawnSync('id', [flag, user], { encoding: 'utf8' });
  // Some systems print nobody's number as -2, and mean it unsigned.
  return run.status === 0 && /^-?\d+\s*$/.test(run.stdout) ? Number(run.stdout) >>> 0 : undefined;
}

/** For root: `postgres` if there is such a user, else `nobody`. For anybody else nobody in particular. */
export function serverUser(): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const uid = id('-u', name);
    const gid = id('-g', name);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid };
  }
  return { name: 'nobody', uid: 65_534, gid: 65_534 };
}

/** Ours without what would steer PostgreSQL (PGDATA, PGPORT, …), and with its messages in English. */
export function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'));
  return { ...Object.fromEntries(kept), LC_ALL: 'C', LANG: 'C' };
}

/** How to start a program as that user, in a folder it may enter, in a process group of its own. */
export function spawnOptions(user: RunAs | undefined, cwd: string): SpawnOptionsOf {
  const as = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  return { ...as, cwd, env: environment(), detached: true };
}

interface SpawnOptionsOf {
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly detached: true;
}

/** Runs a program to its end. Never rejects; one that runs too long is killed and was not ok. */
export function run(
  command: string,
  args: readonly string[],
  options: { user: RunAs | undefined; cwd: string; timeoutMs: number; started?: (pid: number) => void },
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      ...spawnOptions(options.user, options.cwd),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Not spawn's own `timeout`: its timer outlives a program that could not be started, and keeps the process alive.
    const late = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    const finish = (finished: Finished): void => {
      clearTimeout(late);
      resolve(finished);
    };
    let text = '';
    const collect = (chunk: Buffer): void => {
      text = (text + chunk.toString()).slice(-8_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => finish({ ok: false, text: `${text}${error.message}` }));
    child.on('close', (code, signalled) => {
      const end = code === 0 ? '' : `\n(ended with ${signalled ?? `code ${code}`})`;
      finish({ ok: code === 0, text: `${text.trimEnd()}${end}` });
    });
    if (child.pid !== undefined) options.started?.(child.pid);
  });
}
