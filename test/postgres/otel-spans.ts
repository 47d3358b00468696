// A real tracer of OpenTelemetry with its spans in memory, and a context manager, so that one span can be another's child. To be imported
// ahead of pg where it is to see pg being loaded.

import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, type ContextManager, context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

/** As the one of OpenTelemetry's for Node, which is a package of its own. */
class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    fn: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => fn.call(self as ThisParameterType<F>, ...args));
  }

  bind<T>(_active: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

export interface Traced {
  readonly provider: BasicTracerProvider;
  /** The spans that ended since it was asked last, in their order. */
  spans(): readonly ReadableSpan[];
  /** Runs `work` in a span of the program's own. */
  within<T>(work: (span: Span) => Promise<T>): Promise<T>;
}

export function tracedProgram(): Traced {
  context.setGlobalContextManager(new Contexts());
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  return {
    provider,
    spans: () => {
      const ended = exporter.getFinishedSpans();
      exporter.reset();
      return ended;
    },
    within: (work) => {
      const span = provider.getTracer('program').startSpan('program');
      return context.with(trace.setSpan(context.active(), span), () => work(span)).finally(() => span.end());
    },
  };
}
