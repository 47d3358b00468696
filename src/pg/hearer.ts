// The port to whoever wants to hear of each query that the codec speaks. Types only.

import type { Answer } from './codec-query.ts';
import type { PgInternals } from './shapes.ts';

export interface Hearer {
  /** Whether anybody does, at this moment. */
  readonly wanted: boolean;
  /** Has `send` called at once, with who is to be answered instead of `answer` and passes that on. */
  hears(text: string, client: PgInternals, answer: Answer, send: (answer: Answer) => void): void;
}
