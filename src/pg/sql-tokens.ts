// The tokens of an SQL text, cut where the server cuts them. Owns comments, quotes and names; what a token means in a statement is not
// known here. Reads each character a bounded number of times.

export interface Token {
  /** A `word` is a name or keyword without quotes, its ASCII letters in lower case as the server folds them. */
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'mark';
  /** Empty for strings, numbers and parameters: what is in them is data. Empty too for a name spelled with Unicode escapes. */
  readonly text: string;
}

export interface Reading {
  readonly statements: readonly (readonly Token[])[];
  /** A string has a backslash before a quote: with `standard_conforming_strings = off` the text would be cut elsewhere. */
  readonly twofold: boolean;
}

// Every character beyond ASCII is a letter to the server, blanks of Unicode included.
const START = String.raw`[A-Za-z_\u0080-\uffff]`;
const PLAIN = `'[^']*(?:''[^']*)*'`;
const BACKSLASHED = String.raw`'[^'\\]*(?:(?:\\[^]|'')[^'\\]*)*'`;
const QUOTED = `"[^"]*(?:""[^"]*)*"`;

/** One token or gap. Its kind is told by its first and last characters, which costs far less than a group for each. */
function pattern(plain: string): RegExp {
  const sources = [
    String.raw`[ \t\n\r\f\v]+|--[^\n\r]*`,
    `[eE]${BACKSLASHED}`,
    `[nN]?${plain}`,
    `(?:[uU]&|[bBxX])${PLAIN}`,
    `(?:[uU]&)?${QUOTED}`,
    // What only begins like a string must not be taken for a name with a string after it.
    String.raw`(?![eEnNbBxX]'|[uU]&['"])${START}[\w$\u0080-\uffff]*`,
    String.raw`0[xXoObB](?:_?[\da-fA-F])+|(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?`,
    String.raw`\$(?:${START}[\w\u0080-\uffff]*)?\$|\$\d+`,
    '::|[()[\\],;.:+\\-*/<>=~!@#%^&|`?]',
  ];
  return new RegExp(sources.join('|'), 'y');
}

const CONFORMING = pattern(PLAIN);
const NOT_CONFORMING = pattern(BACKSLASHED);
const COMMENT_EDGE = /\/\*|\*\//g;

/** ASCII only, as in the server: to JavaScript the Kelvin sign is a capital k. */
function folded(word: string): string {
  return word.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Where the block comment that begins at `start` ends; undefined if it does not. They nest. */
function afterComment(text: string, start: number): number | undefined {
  let depth = 1;
  COMMENT_EDGE.lastIndex = start + 2;
  for (;;) {
    const edge = COMMENT_EDGE.exec(text);
    if (edge === null) return undefined;
    depth += edge[0] === '/*' ? 1 : -1;
    if (depth === 0) return COMMENT_EDGE.lastIndex;
  }
}

const STRING: Token = { kind: 'string', text: '' };
const NUMBER: Token = { kind: 'number', text: '' };
const PARAMETER: Token = { kind: 'parameter', text: '' };
const ESCAPED_NAME: Token = { kind: 'quoted', text: '' };
const MARKS: ReadonlyMap<string, Token> = new Map(
  ['::', ...'()[],;.:+-*/<>=~!@#%^&|`?'].map((text) => [text, { kind: 'mark', text }]),
);
const LETTER = new RegExp(START);

/** What `whole` is; undefined for a gap. A dollar quote is a string from its first delimiter on. */
function tokenOf(whole: string): Token | undefined {
  const mark = MARKS.get(whole);
  if (mark !== undefined) return mark;
  const [first = ''] = whole;
  if (first === '$') return whole.endsWith('$') ? STRING : PARAMETER;
  if (whole.endsWith("'") && !whole.startsWith('--')) return STRING;
  if (first === '"') return { kind: 'quoted', text: whole.slice(1, -1).replaceAll('""', '"') };
  if (LETTER.test(first)) return whole.endsWith('"') ? ESCAPED_NAME : { kind: 'word', text: folded(whole) };
  return first === '.' || (first >= '0' && first <= '9') ? NUMBER : undefined;
}

/** The text as statements, cut at semicolons, empty ones too; undefined if a quote or comment has no end or a character has no place. */
export function readSql(text: string, standardConformingStrings: boolean): Reading | undefined {
  const next = standardConformingStrings ? CONFORMING : NOT_CONFORMING;
  let statement: Token[] = [];
  const statements = [statement];
  let twofold = false;
  let afterBackslashed = false;
  let at = 0;
  while (at < text.length) {
    if (text.startsWith('/*', at)) {
      const end = afterComment(text, at);
      if (end === undefined) return undefined;
      at = end;
      continue;
    }
    next.lastIndex = at;
    if (!next.test(text)) return undefined;
    const whole = text.slice(at, next.lastIndex);
    at = next.lastIndex;
    const token = tokenOf(whole);
    if (token === undefined) continue;
    if (token === STRING && whole.startsWith('$')) {
      const end = text.indexOf(whole, at);
      if (end === -1) return undefined;
      at = end + whole.length;
    }
    const isPlain = token === STRING && /^[nN]?'/.test(whole);
    // After a line break this would go on with the string before it, backslashes and all.
    if (isPlain && afterBackslashed && standardConformingStrings) return undefined;
    twofold ||= isPlain && whole.includes("\\'");
    afterBackslashed = token === STRING && /^[eE]/.test(whole);
    if (token.text === ';' && token.kind === 'mark') {
      statement = [];
      statements.push(statement);
    } else {
      statement.push(token);
    }
  }
  return { statements, twofold };
}
