// The process of one contestant, in Node or in Bun: opens a pool for a cell, answers for its slices, closes it. What is counted rather than
// timed (heap per query, memory of a thousand callers) is asked for in processes of its own.

import { answerAsChild, collect, type Figures } from '../lib/child.ts';
import { collections } from '../lib/collections.ts';
import { Crowd } from './crowd.ts';
import { ECHO } from './echo.ts';
import { isName } from './line-up.ts';
import { make } from './make.ts';
import type { Target } from './target.ts';
import { type Queries, WORKLOADS, type WorkloadName } from './workloads.ts';

/** What a cell is for the one who measures it. */
export interface Opening {
  readonly what: 'open';
  readonly target: Target;
  readonly workload: WorkloadName;
  readonly callers: number;
  readonly rows: number;
  readonly seed: number;
}

export type Question =
  | Opening
  | { readonly what: 'slice'; readonly leadMs: number; readonly ms: number }
  /** Until the code is compiled for what comes, but not for longer than `ms`. */
  | { readonly what: 'warm'; readonly queries: number; readonly ms: number }
  | { readonly what: 'heap'; readonly queries: number }
  | { readonly what: 'memory'; readonly ms: number }
  | { readonly what: 'latencies' }
  | { readonly what: 'close' };

const name = process.argv[2];
if (!isName(name)) throw new Error(`unknown contestant ${String(name)}`);
const who = name;

let queries: Queries | undefined;
let crowd: Crowd | undefined;

function present(): Crowd {
  if (crowd === undefined) throw new Error('nothing is open');
  return crowd;
}

async function open(asked: Opening): Promise<Figures> {
  queries = await make(who, asked.target);
  crowd = new Crowd(queries, WORKLOADS[asked.workload], asked);
  return {};
}

async function bytesPerQuery(crowd: Crowd, count: number): Promise<{ bytes: number; collections: number }> {
  collect();
  const seen = await collections();
  const before = process.memoryUsage().heapUsed;
  await crowd.exactly(count);
  const bytes = process.memoryUsage().heapUsed - before;
  return { bytes: bytes / count, collections: await seen.end() };
}

/**
 * Bytes of JavaScript objects per query, and how many of them the callers' loop itself makes; the young generation of this process is too
 * large to be collected meanwhile.
 */
async function heap(count: number): Promise<Figures> {
  const echo = new Crowd(ECHO, WORKLOADS.byKey, { callers: 100, rows: 10_000, seed: 1 });
  await echo.exactly(20_000);
  const own = await bytesPerQuery(echo, count);
  const all = await bytesPerQuery(present(), count);
  return { bytes: all.bytes - own.bytes, own: own.bytes, collections: own.collections + all.collections };
}

/** While everybody waits: what the process has, and what of its heap is alive beyond that of the same pool at rest. */
async function memory(ms: number): Promise<Figures> {
  const resident = (): number => process.memoryUsage().rss;
  // Bun's collector counts in another way.
  if (globalThis.Bun !== undefined) return { rss: await present().during(ms, resident) };
  const alive = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const { rss, waiting } = await present().during(ms, () => ({ rss: resident(), waiting: alive() }));
  return { rss, alive: waiting - alive() };
}

async function close(): Promise<Figures> {
  await queries?.end();
  queries = undefined;
  crowd = undefined;
  return {};
}

function isQuestion(question: unknown): question is Question {
  return typeof question === 'object' && question !== null && typeof Reflect.get(question, 'what') === 'string';
}

answerAsChild(async (question) => {
  if (!isQuestion(question)) throw new Error('no question');
  switch (question.what) {
    case 'open':
      return open(question);
    case 'slice':
      return { ...(await present().slice(question.leadMs, question.ms)) };
    case 'warm':
      await present().warm(question.queries, question.ms);
      return {};
    case 'heap':
      return heap(question.queries);
    case 'memory':
      return memory(question.ms);
    case 'latencies': {
      const { latencies } = present();
      return { p50: latencies.quantile(0.5), p99: latencies.quantile(0.99), p999: latencies.quantile(0.999) };
    }
    case 'close':
      return close();
  }
});
