// What of a statement is shown to people and programs that only look: its text in one line, up to a length. Never its values.

const STATEMENT_CHARS = 200;

export function shownText(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= STATEMENT_CHARS ? line : `${line.slice(0, STATEMENT_CHARS)}…`;
}
