// How long a budget waits for a server's answer while a session proves its permit. Owns that figure and nothing else.

import type { Clock } from '../contracts/clock.ts';

/** So long a question to the server may take: until it is answered the session is being opened, and its pool may open no other. */
const ANSWER_MS = 5_000;

/** A server that answers no more costs this attempt to connect, and not all that come after it. */
export function answered<T>(clock: Clock, asked: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error(`the server did not answer within ${ANSWER_MS} ms`));
    // A loop that was blocked reads first what has come meanwhile.
    const timer = clock.timer(ANSWER_MS, () => clock.pollPhase(late));
    asked.then(resolve, reject).finally(() => timer.cancel());
  });
}
