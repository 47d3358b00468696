// What must not show, and how it is taken out of a text: the passwords of a pool's connections, which a server, a resolver or a function of the
// user's may repeat in an error. Owns what counts as one; costs something only where there is an error.

import type pg from 'pg';

const INSTEAD = '[secret]';
/** So many of each pool are kept in mind: passwords rotate, and errors come late. */
const MOST = 32;
/** Shorter ones, and words that may stand in any text, are no secrets: taking them out would leave nothing to read. */
const SHORTEST = 6;
const SHORTEST_WORD = 12;
const SHORTEST_NUMBER = 8;

/** A keyword as libpq has it. Whoever's it is, it must not show. */
const KEYWORD = /(\bpassword\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&'"]+)/gi;
const IN_TLS = ['key', 'passphrase', 'pfx'] as const;

export class Secrets {
  /** In each form in which it may be met, longest first. */
  #known: string[] = [];

  /** Keeps in mind what is secret among settings of a connection. */
  learn({ connectionString, password, ssl, user, host, database }: pg.ClientConfig): void {
    const names = [user, host, database];
    if (typeof connectionString === 'string') for (const part of secretsIn(connectionString)) this.#add(part, names);
    this.#add(password, names);
    if (typeof ssl === 'object' && ssl !== null) for (const name of IN_TLS) this.#add(Reflect.get(ssl, name), names);
  }

  #add(secret: unknown, names: readonly unknown[]): void {
    if (typeof secret !== 'string' || isOrdinary(secret) || names.includes(secret)) return;
    const forms = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
    const fresh = forms.filter((form, n) => !this.#known.includes(form) && forms.indexOf(form) === n);
    if (fresh.length === 0) return;
    this.#known = [...fresh, ...this.#known].slice(0, MOST).sort((a, b) => b.length - a.length);
  }

  /** `text` without any. */
  text(text: string): string {
    let clean = text;
    for (const secret of this.#known) if (clean.includes(secret)) clean = clean.replaceAll(secret, INSTEAD);
    if (clean.includes('://')) clean = withoutLogins(clean);
    return clean.includes('=') ? clean.replace(KEYWORD, `$1${INSTEAD}`) : clean;
  }

  /** Takes them out of an error, in place: it may be told to several, and be recognised by what it is. */
  scrub(error: unknown): void {
    this.#scrub(error, new Set());
  }

  #scrub(value: unknown, seen: Set<object>): void {
    if (!(value instanceof Error || Array.isArray(value)) || seen.has(value)) return;
    seen.add(value);
    let changed = false;
    for (const key of Object.getOwnPropertyNames(value)) {
      const inside: unknown = key === 'stack' ? undefined : Object.getOwnPropertyDescriptor(value, key)?.value;
      if (typeof inside !== 'string') {
        this.#scrub(inside, seen);
        continue;
      }
      const clean = this.text(inside);
      if (clean !== inside) changed = Reflect.set(value, key, clean) || changed;
    }
    // It begins with the message as that was.
    if (changed && value instanceof Error && typeof value.stack === 'string') value.stack = this.text(value.stack);
  }
}

/**
 * Without the password of any login in a URL (`scheme://user:password@`, up to the last "@" before a space), whoever's it is. Reads the text
 * once and goes back nowhere: the server quotes whatever it was sent, however long, and who sends it may be a stranger.
 */
function withoutLogins(text: string): string {
  let clean = '';
  let told = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', at)) {
    at += 3;
    while (at < text.length && !/[\s:@/?#]/.test(text.charAt(at))) at += 1;
    if (text.charAt(at) !== ':') continue;
    const begin = at + 1;
    let last = -1;
    for (at = begin; at < text.length && !/\s/.test(text.charAt(at)); at += 1) if (text.charAt(at) === '@') last = at;
    if (last <= begin) continue;
    clean += text.slice(told, begin) + INSTEAD;
    told = last;
  }
  return clean + text.slice(told);
}

function isOrdinary(text: string): boolean {
  if (/^[a-z]*$/i.test(text)) return text.length < SHORTEST_WORD;
  return text.length < (/^\d*$/.test(text) ? SHORTEST_NUMBER : SHORTEST);
}

/** Also where it was not encoded, so that a piece of it is taken for a port or a database. */
function secretsIn(connectionString: string): string[] {
  const login = /:\/\/[^\s:@/?#]*:(.*)@/s.exec(connectionString)?.[1] ?? '';
  const inQuery = /[?&]password=([^&#]*)/i.exec(connectionString)?.[1] ?? '';
  const keyword = /\bpassword\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&'"]+))/i.exec(connectionString);
  const found = [login, inQuery, keyword?.[1] ?? keyword?.[2] ?? ''];
  if (/[/?#]/.test(login)) found.push(...login.split(/[/?#]/));
  return [...found, ...found.map(decoded)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
