// docs/runtimes.md: its words, and how what was measured is put into its table and read out of it again. Measures nothing.

import type { Outcome } from './probe.ts';

/** A column of the table. */
export interface Column {
  readonly label: string;
  readonly version: string;
  readonly outcomes: readonly Outcome[];
}

const HEAD = `# Runtimes

<!-- Written by scripts/runtimes-reference.mjs; its words stand in test/runtimes/page.ts. -->

Supported: Node 20 (from 20.19), 22 and 24. The tests of the core, of the package and those on a real server are run on each of them.

Known to work: Bun 1 and Deno 2, with \`pg\` from npm. What is known is in the table, no more and no less: the probes, and the tests of the
core, which run there by the runtime's own \`node:test\`. Deno needs \`--allow-net\` and \`--allow-env\` (the probes are played with \`-A\`).

What is different on them:

- Sockets that read into memory which is there already (\`src/pg/lean-socket.ts\`) are Node's alone; elsewhere a socket is the runtime's
  own. That costs time and nothing else.
- The codec speaks only where \`pg\`'s own functions are, to the letter, those it was tested with. Bun shows functions in words of its own, so
  there \`pg\` speaks for every query: as with \`speaker: 'pg'\`, which means the same, is slower, and prepares nothing by itself (give a
  query a \`name\`). \`snapshot().speaker\` tells.

Both are the newest of their major version. \`npm run test:all\` measures the table anew and fails where it is not so; versions, and how many
tests the core has, are those of the day on which this page was written.

What nobody has measured: TLS, Unix sockets, PgBouncer and the proxies of faults on Bun and Deno; Bun and Deno on anything but Linux.

`;

const YES = 'yes';

function cell({ ok, detail }: Outcome): string {
  const words = detail.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return [ok ? YES : '**no**', ...(words === '' ? [] : [words])].join(': ');
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** Every column has the same probes in the same order; all of them passed all `coreTests`. */
export function pageOf(columns: readonly Column[], coreTests: number): string {
  const [{ outcomes: probes } = { outcomes: [] }] = columns;
  const lines = [
    row(['', ...columns.map(({ label }) => label)]),
    row(['---', ...columns.map(() => '---')]),
    row(['version', ...columns.map(({ version }) => version)]),
    row(['tests of the core', ...columns.map(() => `all ${coreTests}`)]),
    ...probes.map(({ name }, n) =>
      row([name, ...columns.map(({ outcomes }) => cell(outcomes[n] ?? { name, ok: false, detail: 'not tried' }))]),
    ),
  ];
  return `${HEAD}${lines.join('\n')}\n`;
}

/** All that stands above the table. */
export function headOf(page: string): string {
  return page.split('\n| ')[0] ?? '';
}

/** What the page says of one runtime, row by row; empty if it does not know it. */
export function columnOf(page: string, label: string): Readonly<Record<string, string>> {
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((text) => text.trim()),
    );
  const at = rows[0]?.indexOf(label) ?? -1;
  if (at === -1) return {};
  return Object.fromEntries(rows.slice(2).map((cells) => [cells[0] ?? '', cells[at] ?? '']));
}

/** The rows that are probes, of a column as it was measured. */
export function cellsOf({ outcomes }: Pick<Column, 'outcomes'>): Readonly<Record<string, string>> {
  return Object.fromEntries(outcomes.map((outcome) => [outcome.name, cell(outcome).trim()]));
}

/** The rows that are probes, of a page's column. */
export function probesIn(page: string, label: string): Readonly<Record<string, string>> {
  const { version: _, 'tests of the core': __, ...probes } = columnOf(page, label);
  return probes;
}
