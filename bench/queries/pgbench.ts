// The physical limit of a cell: pgbench, with as many clients as the pool has connections and one thread. It looks at no row and makes no object.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverCpuUs } from '../lib/server-cpu.ts';
import type { Cell } from './cells.ts';
import type { Target } from './target.ts';
import { SQL, STEP, WIDE_ROWS, type WorkloadName } from './workloads.ts';

const run = promisify(execFile);

/** One second is the least it takes. */
const SECONDS = 1;

export interface LimitSample {
  readonly rate: number;
  readonly meanMs: number;
  readonly cpuUs: number;
  readonly serverUs: number;
}

function scriptOf(workload: WorkloadName, rows: number): string {
  const set = `\\set aid random(1, ${rows - 1_000})\n`;
  const text = (sql: string, ...values: string[]): string =>
    `${sql.replaceAll(/\$(\d)/g, (_, place) => values[Number(place) - 1] ?? '')};\n`;
  const range = (count: number): string => `${set}\\set last :aid + ${count}\n${text(SQL.accounts, ':aid', ':last')}`;
  switch (workload) {
    case 'select1':
      return text(SQL.select1);
    case 'rows10':
      return range(10);
    case 'rows1000':
      return range(1_000);
    case 'wide':
      return `\\set id random(1, ${WIDE_ROWS - 30})\n\\set last :id + 30\n${text(SQL.wide, ':id', ':last')}`;
    case 'insert':
      return set + text(SQL.insert, ':aid', '1');
    case 'transfer':
      return `${set}BEGIN;\n${text(SQL.update, String(STEP), ':aid')}${text(SQL.byKey, ':aid')}${text(SQL.insert, ':aid', String(STEP))}COMMIT;\n`;
    default:
      return set + text(SQL.byKey, ':aid');
  }
}

/** What `times` of the shell says of its children, in microseconds: its last line, as in `0m0.35s 0m0.41s`. */
function childCpuUs(text: string): number {
  const found = [...(text.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return found.reduce((sum, [, minutes, seconds]) => sum + (Number(minutes) * 60 + Number(seconds)) * 1e6, 0);
}

function numberAfter(text: string, what: RegExp): number {
  const found = what.exec(text)?.[1];
  if (found === undefined) throw new Error(`pgbench said something else: ${text.slice(0, 500)}`);
  return Number(found);
}

export async function pgbench(
  program: string,
  cell: Cell,
  target: Target,
  rows: number,
  pid: number | undefined,
): Promise<LimitSample> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  try {
    const script = join(folder, 'script.sql');
    await writeFile(script, scriptOf(cell.workload, rows));
    const { host, port, user, database, password, options } = target.config;
    const clients = Math.min(cell.callers, cell.connections);
    const before = serverCpuUs(pid);
    const { stdout } = await run(
      'sh',
      [
        '-c',
        '"$@" && times',
        'sh',
        program,
        '-n',
        '-M',
        'prepared',
        '-c',
        `${clients}`,
        '-j',
        '1',
        '-T',
        `${SECONDS}`,
        '-f',
        script,
      ],
      {
        env: {
          ...process.env,
          PGHOST: host,
          PGPORT: String(port),
          PGUSER: user,
          PGDATABASE: database,
          ...(password === undefined ? {} : { PGPASSWORD: password }),
          ...(options === undefined ? {} : { PGOPTIONS: options }),
        },
      },
    );
    const serverUs = serverCpuUs(pid) - before;
    const queries = numberAfter(stdout, /actually processed: (\d+)/);
    return {
      rate: numberAfter(stdout, /tps = ([\d.]+)/),
      meanMs: numberAfter(stdout, /latency average = ([\d.]+)/),
      cpuUs: childCpuUs(stdout) / queries,
      serverUs: serverUs / queries,
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}
