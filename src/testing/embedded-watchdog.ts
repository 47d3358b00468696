// A program of its own, started beside a test's server. Owns what must happen when the test process is gone without having
// cleaned up: killed, crashed, interrupted. It learns of that by the end of its input, a pipe whose other end only that process
// holds. Each line of input is the whole list of what is to be removed then; an empty list means that all is done already.

import { dropSchema } from './embedded-client.ts';
import { type Remains, removeNow } from './embedded-remains.ts';

// What ends a whole group of processes must not end the one that cleans up after them.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});

process.stdin.setEncoding('utf8');
let text = '';
for await (const chunk of process.stdin) text += String(chunk);

const last = text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1);
if (last) {
  const remains: Remains = JSON.parse(last);
  removeNow(remains);
  if (remains.schema) await dropSchema(remains.schema);
}
