// A transaction that is wanted and not begun yet: its BEGIN, and the settings that go with it, travel with its first statement and cost no round
// trip of their own. Owns how far it has come, and that nothing runs where it was to be begun and could not be.

import type { Outgoing } from './outgoing.ts';

/** What begins a transaction. */
export interface Beginning {
  readonly begin: string;
  readonly settings: { readonly text: string; readonly values: readonly string[] } | undefined;
}

export class Opening {
  readonly beginning: Beginning;
  /** `wanted`: nothing was sent. `sent`: it is on its way. `begun`: the server has begun it. `failed`: it would not. */
  state: 'wanted' | 'sent' | 'begun' | 'failed' = 'wanted';
  /** Why it failed. */
  error: Error | undefined;
  readonly #tenure: { readonly over: boolean };

  /** `tenure`: of who wanted it. No function, which would keep the lease as long as the session keeps this. */
  constructor(beginning: Beginning, tenure: { readonly over: boolean }) {
    this.beginning = beginning;
    this.#tenure = tenure;
  }

  /** It is of no interest to whoever has the connection now. */
  get obsolete(): boolean {
    return this.state === 'begun' || this.#tenure.over;
  }

  /** Puts it ahead of a statement; returns for how many words of completion the server is to be heard first. */
  put(out: Outgoing): number {
    const { begin, settings } = this.beginning;
    out.parse('', begin);
    out.bind('', []);
    out.execute();
    if (settings === undefined) return 1;
    out.parse('', settings.text);
    out.bind('', settings.values);
    out.execute();
    return 2;
  }

  begun(): void {
    this.state = 'begun';
  }

  failed(error: unknown): void {
    this.state = 'failed';
    this.error = error instanceof Error ? error : new Error(String(error));
  }
}
