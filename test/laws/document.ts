// Reading docs/api.md for the laws: its sections, its tables and its code blocks. Knows no law.

/** The text of a section, from its heading to the next of the same or a higher level; throws if there is none. */
export function section(document: string, heading: string): string {
  const lines = document.split('\n');
  const from = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line.startsWith('#'));
  if (from === -1) throw new Error(`no section is called "${heading}"`);
  const level = /^#+/.exec(lines[from] ?? '')?.[0].length ?? 0;
  const rest = lines.slice(from + 1);
  const end = rest.findIndex((line) => (/^(#+) /.exec(line)?.[1]?.length ?? Number.POSITIVE_INFINITY) <= level);
  return rest.slice(0, end === -1 ? undefined : end).join('\n');
}

/** The cells of each row of the tables in a text, without the heads. */
export function rows(text: string): readonly (readonly string[])[] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  return lines
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    )
    .filter((_, at) => !isRule(lines[at]) && !isRule(lines[at + 1]));
}

function isRule(line: string | undefined): boolean {
  return line !== undefined && /^\|[-:|\s]+$/.test(line);
}

/** Every name that stands in backticks. */
export function ticked(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}
