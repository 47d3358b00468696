// Cloudflare's own runtime: a worker is bundled as its users' tool does it, and run by workerd, which miniflare starts. Owns whether this machine
// has it. Knows nothing of the pool, nor of tests.

import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { root } from '../laws/tree.ts';

/** scripts/test.mjs looks the same way. */
export function hasWorkerd(): boolean {
  return spawnSync(join(root, 'node_modules/.bin/workerd'), ['--version']).status === 0;
}

const BUILTIN =
  /^(node:)?(async_hooks|assert|buffer|crypto|diagnostics_channel|dns|events|fs|net|os|path|perf_hooks|process|stream|string_decoder|timers|tls|url|util|util\/types)$/;

/** What is required by CommonJS has to be imported, and pg asks for its native half in vain. */
const platform: Plugin = {
  name: 'platform',
  setup(building) {
    building.onResolve({ filter: BUILTIN }, ({ kind, path }) => {
      const name = path.replace('node:', '');
      return kind === 'require-call' ? { path: name, namespace: 'required' } : { path: `node:${name}`, external: true };
    });
    building.onLoad({ filter: /.*/, namespace: 'required' }, ({ path }) => ({
      contents: `import whole from 'node:${path}'; module.exports = whole;`,
    }));
    building.onResolve({ filter: /^pg-native$/ }, ({ path }) => ({ path, namespace: 'nothing' }));
    building.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** The text of a worker and all that it imports. `oxbow` is the built package. */
export async function bundle(path: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(root, path)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    mainFields: ['module', 'main'],
    external: ['cloudflare:*'],
    plugins: [platform],
    logLevel: 'error',
  });
  return outputFiles[0]?.text ?? '';
}

/** What is used of miniflare, whose own declarations need those of half a platform. */
interface Miniflare {
  readonly ready: Promise<URL>;
  dispatchFetch(url: string): Promise<{ json(): Promise<unknown> }>;
  dispose(): Promise<void>;
}

async function miniflare(options: object): Promise<Miniflare> {
  // Not a literal, so that the compiler does not look for its declarations.
  const name: string = 'miniflare';
  const { Log, LogLevel, Miniflare } = await import(name);
  return new Miniflare({ ...options, log: new Log(LogLevel.ERROR) });
}

export interface WorkerOptions {
  /** The bundled text. */
  readonly text: string;
  /** The platform's behaviour as of then. */
  readonly date?: string;
  readonly flags?: readonly string[];
  readonly bindings?: Readonly<Record<string, string>>;
  /** Classes of Durable Objects, by the names of their bindings. */
  readonly objects?: Readonly<Record<string, string>>;
}

export interface Worker {
  /** What it answers, as JSON. */
  get<T>(path: string): Promise<T>;
  /** Asks and waits for no answer; the undo cuts the line, upon which the platform cancels the request. */
  ask(path: string): () => void;
  stop(): Promise<void>;
}

/** Starts one; its end is the caller's business. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { text, date = '2026-04-20', flags = [], bindings = {}, objects = {} } = options;
  const flare = await miniflare({
    modules: [{ type: 'ESModule', path: 'worker.mjs', contents: text }],
    compatibilityDate: date,
    compatibilityFlags: ['nodejs_compat', ...flags],
    bindings: { ...bindings },
    durableObjects: { ...objects },
    // Asks nobody on the network where it is.
    cf: false,
  });
  let address: URL;
  try {
    address = await flare.ready;
  } catch (error) {
    await flare.dispose();
    throw error;
  }
  let stopped: Promise<void> | undefined;
  return {
    async get<T>(path: string): Promise<T> {
      const response = await flare.dispatchFetch(`http://worker${path}`);
      return (await response.json()) as T;
    },
    ask(path) {
      const socket = connect(Number(address.port), address.hostname);
      socket.on('error', () => {});
      socket.write(`GET ${path} HTTP/1.1\r\nHost: worker\r\n\r\n`);
      // An end that is merely announced is not noticed before the answer.
      return () => socket.resetAndDestroy();
    },
    stop() {
      stopped ??= flare.dispose();
      return stopped;
    },
  };
}
