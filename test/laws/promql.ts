// Which series, labels and functions an expression of PromQL names. Knows no metric and no law; it reads what our own files are made of,
// and says so when it meets anything else.

export interface Named {
  /** Each with the labels that are matched on it. */
  readonly series: readonly { readonly name: string; readonly labels: readonly string[] }[];
  /** In `by (…)`, `without (…)`, `on (…)`. */
  readonly grouped: readonly string[];
  readonly functions: readonly string[];
}

const TOKEN =
  /\s+|"(?:[^"\\]|\\.)*"|\[(?:\d+[smhd]|\$__rate_interval)\]|\d+(?:\.\d+)?|[A-Za-z_][\w]*|=~|!~|!=|>=|<=|==|[-+*/%^=<>(){},]/y;
const GROUPING = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'];
const WORDS = ['and', 'or', 'unless', 'bool'];
const isName = (token: string | undefined): token is string => token !== undefined && /^[A-Za-z_]/.test(token);

function tokensOf(expression: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.length) {
    const at = TOKEN.lastIndex;
    const [token] = TOKEN.exec(expression) ?? [];
    if (token === undefined) throw new Error(`cannot be read from here on: ${expression.slice(at)}`);
    if (token.trim() !== '') tokens.push(token);
  }
  return tokens;
}

/** From an opening bracket to its end: where it ends, and the names before `=` or between commas. */
function bracket(tokens: readonly string[], from: number, close: string): { end: number; names: string[] } {
  const end = tokens.indexOf(close, from);
  if (end === -1) throw new Error(`no ${close} in ${tokens.join(' ')}`);
  return { end, names: tokens.slice(from + 1, end).filter(isName) };
}

export function namedIn(expression: string): Named {
  const tokens = tokensOf(expression);
  const series: { name: string; labels: string[] }[] = [];
  const grouped: string[] = [];
  const functions: string[] = [];
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at];
    const next = tokens[at + 1];
    if (!isName(token) || WORDS.includes(token)) continue;
    if (GROUPING.includes(token)) {
      const { end, names } = bracket(tokens, at + 1, ')');
      grouped.push(...names);
      at = end;
    } else if (next === '(' || GROUPING.includes(next ?? '')) {
      functions.push(token);
    } else if (next === '{') {
      const { end, names } = bracket(tokens, at + 1, '}');
      series.push({ name: token, labels: names });
      at = end;
    } else {
      series.push({ name: token, labels: [] });
    }
  }
  return { series, grouped, functions };
}
