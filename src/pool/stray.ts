// Transaction commands in a text that goes to a connection of its own. Owns the recognition of BEGIN and COMMIT; whether the text is
// sent is decided elsewhere. Reads the beginning of a text only: it is a courtesy to the caller, the status byte is the law.

/** White space and comments in front of the first word. */
const LEADING = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;
const BEGIN = /^(begin|start\s+transaction)\b/i;
const COMMIT = /^(commit|end)\b(?!\s+prepared\b)/i;

export interface Stray {
  /** As written: `BEGIN`, `START TRANSACTION`. */
  readonly keyword: string;
  /** The text is nothing but this statement. */
  readonly alone: boolean;
}

/** How a text may begin that is one of these, white space and comments included: hardly any other is looked at more closely. */
const PERHAPS = /^(?:[\s\-/abcer]|st)/i;

function textOf(query: unknown): string | undefined {
  const text: unknown = typeof query === 'object' && query !== null ? Reflect.get(query, 'text') : query;
  return typeof text === 'string' && PERHAPS.test(text) ? text.replace(LEADING, '') : undefined;
}

/** The BEGIN with which a text starts; undefined if it starts otherwise. */
export function strayBegin(query: unknown): Stray | undefined {
  const text = textOf(query);
  const found = text === undefined ? null : BEGIN.exec(text);
  if (text === undefined || found === null) return undefined;
  const rest = text.slice(text.indexOf(';') + 1).replace(LEADING, '');
  return { keyword: (found[1] as string).toUpperCase().replace(/\s+/, ' '), alone: !text.includes(';') || rest === '' };
}

/** Whether a text is a COMMIT. */
export function isCommit(query: unknown): boolean {
  const text = textOf(query);
  return text !== undefined && COMMIT.test(text);
}

const END = /^(commit|end|rollback|abort)\b(?!\s+(?:(?:work|transaction)\s+)?(?:to|prepared)\b)/i;

/** The word with which a text would end the transaction around it, or begin another; undefined if it starts otherwise. */
export function strayInside(query: unknown): string | undefined {
  const text = textOf(query);
  const found = text === undefined ? null : (END.exec(text) ?? BEGIN.exec(text));
  return found?.[1]?.toUpperCase().replace(/\s+/, ' ');
}
