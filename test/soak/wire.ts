// The way from a pool to its server, as the pool's thread sees it: questions to the thread of the fault proxy.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Draw, NetworkFaultName } from './wire-faults.ts';
import type { Answer, Question, Reply, WireFigures } from './wire-thread.ts';

export class Wire {
  readonly #worker: Worker;
  readonly #open = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  #last = 0;

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#worker = new Worker(new URL('./wire-thread.js', import.meta.url), { workerData: target });
    this.#worker.on('message', (reply: Reply) => {
      const asked = this.#open.get(reply.id);
      this.#open.delete(reply.id);
      if ('error' in reply) asked?.reject(new Error(reply.error));
      else asked?.resolve(reply.answer);
    });
    this.#worker.on('error', (error) => {
      for (const { reject } of this.#open.values()) reject(error);
      this.#open.clear();
    });
  }

  async fault(name: NetworkFaultName, draw: Draw): Promise<void> {
    await this.#ask({ is: 'fault', name, draw });
  }

  async living(serverPorts: readonly number[]): Promise<number> {
    return Number(await this.#ask({ is: 'living', serverPorts }));
  }

  async figures(): Promise<WireFigures> {
    const answer = await this.#ask({ is: 'figures' });
    if (typeof answer !== 'object') throw new Error('no figures from the proxy');
    return answer;
  }

  /** Cuts whatever is left and ends the thread. */
  async close(): Promise<void> {
    await this.#ask({ is: 'close' });
    const ended = once(this.#worker, 'exit');
    await this.#worker.terminate();
    await ended.catch(() => {});
  }

  #ask(question: Question): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#worker.postMessage({ id, question });
    });
  }
}
