// The fault proxy's thread: a pool whose loop is blocked must not block the network with it. Owns the answering of questions; what a
// fault does is its neighbour's business.

import { parentPort, workerData } from 'node:worker_threads';
import { faultProxy } from '../../src/doors/testing.ts';
import { type Draw, NETWORK_FAULTS, type NetworkFaultName } from './wire-faults.ts';

export type Question =
  | { readonly is: 'fault'; readonly name: NetworkFaultName; readonly draw: Draw }
  /** How many of the sessions on these ports of the server's have a client. */
  | { readonly is: 'living'; readonly serverPorts: readonly number[] }
  | { readonly is: 'figures' }
  | { readonly is: 'close' };

export interface WireFigures {
  readonly port: number;
  readonly accepted: number;
  readonly cancels: number;
  readonly open: number;
  readonly peak: number;
}

export type Answer = WireFigures | number | undefined;
export type Reply = { readonly id: number; readonly answer: Answer } | { readonly id: number; readonly error: string };

const port = parentPort;
if (port === null) throw new Error('runs as a thread only');
const target: unknown = workerData;
if (typeof target !== 'object' || target === null) throw new Error('no target');
const proxy = await faultProxy({
  target: { host: String(Reflect.get(target, 'host')), port: Number(Reflect.get(target, 'port')) },
});

async function answer(question: Question): Promise<Answer> {
  switch (question.is) {
    case 'fault':
      return NETWORK_FAULTS[question.name](proxy, question.draw).then(() => undefined);
    case 'living': {
      // A backend that is stopped keeps its row, and its port may be that of a cancel request by now.
      const sessions = proxy.connections.filter(({ open, kind }) => open && kind === 'session');
      const open = new Set(sessions.map(({ serverPort }) => serverPort));
      return question.serverPorts.filter((one) => open.has(one)).length;
    }
    case 'figures': {
      const { accepted, cancels, open, peak } = proxy;
      return { port: proxy.port, accepted, cancels, open, peak };
    }
    case 'close':
      return proxy.close().then(() => undefined);
  }
}

port.on('message', ({ id, question }: { id: number; question: Question }) => {
  const reply = (message: Reply): void => port.postMessage(message);
  answer(question).then(
    (value) => reply({ id, answer: value }),
    (error: unknown) => reply({ id, error: String(error) }),
  );
});
