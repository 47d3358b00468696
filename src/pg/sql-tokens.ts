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

function pattern(plain: string): RegExp {
  const kinds = {
    gap: String.raw`[ \t\n\r\f\v]+|--[^\n\r]*`,
    backslashed: `[eE]${BACKSLASHED}`,
    string: `[nN]?${plain}`,
    otherString: `(?:[uU]&|[bBxX])${PLAIN}`,
    escapedName: `[uU]&${QUOTED}`,
    quoted: QUOTED,
    // What only begins like a string must not be taken for a name with a string after it.
    word: String.raw`(?![eEnNbBxX]'|[uU]&['"])${START}[\w$\u0080-\uffff]*`,
    number: String.raw`0[xXoObB](?:_?[\da-fA-F])+|(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?`,
    dollar: String.raw`\$(?:${START}[\w\u0080-\uffff]*)?\$`,
    parameter: String.raw`\$\d+`,
    mark: String.raw`::|[()[\],;.:+\-*/<>=~!@#%^&|${'`'}?]`,
  };
  return new RegExp(
    Object.entries(kinds)
      .map(([kind, source]) => `(?<${kind}>${source})`)
      .join('|'),
    'y',
  );
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
    const found = next.exec(text);
    if (found === null) return undefined;
    const [whole] = found;
    const { gap, backslashed, string, otherString, escapedName, quoted, word, number, dollar, mark } =
      found.groups ?? {};
    at = next.lastIndex;
    if (gap !== undefined) continue;
    if (dollar !== undefined) {
      const end = text.indexOf(dollar, at);
      if (end === -1) return undefined;
      at = end + dollar.length;
    }
    if (mark === ';') {
      statement = [];
      statements.push(statement);
    } else if (string !== undefined) {
      // After a line break this would go on with the string before it, backslashes and all.
      if (afterBackslashed && standardConformingStrings) return undefined;
      twofold ||= whole.includes("\\'");
      statement.push({ kind: 'string', text: '' });
    } else if (backslashed !== undefined || otherString !== undefined || dollar !== undefined) {
      statement.push({ kind: 'string', text: '' });
    } else if (word !== undefined) {
      statement.push({ kind: 'word', text: folded(word) });
    } else if (quoted !== undefined) {
      statement.push({ kind: 'quoted', text: quoted.slice(1, -1).replaceAll('""', '"') });
    } else if (escapedName !== undefined) {
      statement.push({ kind: 'quoted', text: '' });
    } else if (mark !== undefined) {
      statement.push({ kind: 'mark', text: mark });
    } else {
      statement.push({ kind: number === undefined ? 'parameter' : 'number', text: '' });
    }
    afterBackslashed = backslashed !== undefined;
  }
  return { statements, twofold };
}
