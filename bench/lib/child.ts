// One contestant in a process of its own: neither its compiled code nor its garbage can colour another one's figures. Owns the
// question-and-answer over the channel between the two processes.

import { fork } from 'node:child_process';
import { once } from 'node:events';

export type Figures = Readonly<Record<string, number>>;

/** What crosses the channel is checked: a child that dies or answers nonsense ends the run. */
function figuresIn(message: unknown): Figures {
  if (typeof message !== 'object' || message === null) throw new Error(`no figures: ${String(message)}`);
  const failure: unknown = Reflect.get(message, 'failure');
  if (failure !== undefined) throw new Error(String(failure));
  const figures: Record<string, number> = {};
  for (const [name, value] of Object.entries(message)) {
    if (typeof value !== 'number') throw new Error(`not a number: ${name}`);
    figures[name] = value;
  }
  return figures;
}

export interface Child {
  /** Asks for one measurement; one at a time. */
  ask(question: object): Promise<Figures>;
  end(): Promise<void>;
}

export interface Runtime {
  /** Another program than this process's own Node. */
  readonly program?: string;
  readonly flags?: readonly string[];
}

/** Starts the compiled `module` with one argument. */
export function startChild(module: URL, contestant: string, runtime: Runtime = {}): Child {
  const child = fork(module, [contestant], {
    ...(runtime.program === undefined ? {} : { execPath: runtime.program }),
    execArgv: [...(runtime.flags ?? ['--expose-gc'])],
    // One time zone for all: a date without one is read in the process's own.
    env: { ...process.env, NODE_ENV: 'production', TZ: 'UTC' },
  });
  const exited = once(child, 'exit');
  const died = exited.then(([code]) => {
    throw new Error(`the process of ${contestant} ended early (${String(code)})`);
  });
  died.catch(() => {});
  return {
    async ask(question) {
      const answer = once(child, 'message').then(([message]) => figuresIn(message));
      child.send(question);
      return Promise.race([answer, died]);
    },
    async end() {
      child.disconnect();
      await exited;
    },
  };
}

/** The child's side: answers each question with what `measure` finds. */
export function answerAsChild(measure: (question: unknown) => Promise<Figures>): void {
  process.on('message', (question) => {
    measure(question).then(
      (figures) => process.send?.(figures),
      (error: unknown) => process.send?.({ failure: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}

/** Collects garbage now, so that what is left is alive. */
export function collect(): void {
  if (globalThis.gc === undefined) throw new Error('needs --expose-gc');
  globalThis.gc();
}
