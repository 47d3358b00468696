// Where the platform ties sockets and timers to the request that made them (Cloudflare Workers): which request is this, and may it be kept
// alive. Owns what is known of that platform, all of it undocumented but for `waitUntil`; knows no pool. Elsewhere there is one context for
// ever, and asking for it costs nothing.

/** Whether sockets are tied to the request that opened them. Looked at once. */
export const bindsIo: boolean = userAgent() === 'Cloudflare-Workers';

function userAgent(): unknown {
  const navigator: unknown = Reflect.get(globalThis, 'navigator');
  return typeof navigator === 'object' && navigator !== null ? Reflect.get(navigator, 'userAgent') : undefined;
}

/** `request` ends with its response, `object` (a Durable Object) goes on over many, of `unknown` it has not shown yet; `process`: the only one. */
export type ContextKind = 'process' | 'request' | 'object' | 'unknown';

/** One I/O context. */
export interface IoContext {
  /** Whether this very turn belongs to it. */
  readonly here: boolean;
  /** Asked in the context itself. */
  readonly kind: ContextKind;
}

/** What makes contexts. */
export interface Contexts {
  /** Whether one of them can end while the program goes on. */
  readonly mortal: boolean;
  /** The one that this turn belongs to. */
  mint(): IoContext;
  /** Keeps this turn's context alive until `until` settles, as far as the platform allows it. */
  keepAlive(until: Promise<void>): void;
}

/** Undefined if it can be read here, else what the platform says of it. */
function foreign(token: AbortSignal): string | undefined {
  try {
    // A signal belongs to the request that made it: elsewhere reading this throws, synchronously and without I/O.
    void token.aborted;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Tokens of two contexts: whichever context one is in, one of them is foreign, and how the platform refuses it tells what kind this one is. */
const witnesses: AbortSignal[] = [];

function kindHere(): ContextKind {
  for (const token of witnesses) {
    const refused = foreign(token);
    if (refused === undefined) continue;
    if (refused.includes('different Durable Object')) return 'object';
    if (refused.includes('different request')) return 'request';
  }
  return 'unknown';
}

class BoundContext implements IoContext {
  readonly #token: AbortSignal = new AbortController().signal;
  #kind: ContextKind = 'unknown';

  constructor() {
    if (witnesses.length < 2 && witnesses.every((token) => foreign(token) !== undefined)) witnesses.push(this.#token);
  }

  get here(): boolean {
    return foreign(this.#token) === undefined;
  }

  get kind(): ContextKind {
    if (this.#kind === 'unknown') this.#kind = kindHere();
    return this.#kind;
  }
}

/** The module is there on that platform alone; a bundler for another one must not look for it. */
const MODULE = 'cloudflare:workers';

function keepAlive(until: Promise<void>): void {
  const platform: unknown = process.getBuiltinModule(MODULE);
  if (typeof platform !== 'object' || platform === null) return;
  const waitUntil: unknown = Reflect.get(platform, 'waitUntil');
  // It acts on the request of this turn. Without it sockets are cut when the response is done, which the server sees as well.
  if (typeof waitUntil === 'function') waitUntil(until);
}

const theProcess: IoContext = { here: true, kind: 'process' };

/** The contexts of the platform that this program runs on. */
export const platformContexts: Contexts = bindsIo
  ? { mortal: true, mint: () => new BoundContext(), keepAlive }
  : { mortal: false, mint: () => theProcess, keepAlive: () => {} };
