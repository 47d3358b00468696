// Fans the engine's happenings out to observers. Owns the list of them, and that an observer which throws is reported and has no
// other effect. With nobody listening nothing is allocated.

import type { Session } from '../contracts/driver.ts';
import { OptionError } from '../contracts/errors.ts';
import type { EngineEvents, Observer } from '../contracts/events.ts';
import type { RefusalReason, RetireReason, ReturnOutcome } from '../contracts/figures.ts';
import type { Phase } from '../contracts/phase.ts';
import type { Report, Reporter } from '../contracts/reporter.ts';
import { LEVELS } from '../telemetry/log-levels.ts';
import type { Publisher } from './publisher.ts';

/** Who is told of what happens to a session. */
export interface ClientEvents {
  /** Whether anybody wants to hear of each lend or return. */
  readonly listening: boolean;
  opened(session: Session): void;
  lent(session: Session): void;
  released(session: Session, reason: unknown): void;
  lost(error: Error, state: string, session: Session): void;
  closed(session: Session): void;
}

export const EVENTS: readonly string[] = Object.keys(LEVELS);
/** Those of each lend and return. */
const TRAFFIC = ['waiting', 'lent', 'returned'] as const satisfies readonly EventName[];

type EventName = keyof Observer;
type Payload<N extends EventName> = Parameters<Observer[N]>[0];

export class Observers implements EngineEvents, Reporter {
  #list: readonly Partial<Observer>[] = [];
  readonly #reporter: Reporter;
  readonly #face: ClientEvents;
  readonly #channels: Publisher;
  /** The pool's, for reports. */
  readonly #name: string;
  /** Told whether anybody listens. */
  onListening: (listening: boolean) => void = () => {};
  onPhase: (to: Phase) => void = () => {};

  /** `face` tells the listeners of pg's events. */
  constructor(reporter: Reporter, face: ClientEvents, channels: Publisher, name: string) {
    this.#channels = channels;
    this.#reporter = reporter;
    this.#face = face;
    this.#name = name;
  }

  /** Returns the undo. */
  add(observer: Partial<Observer>): () => void {
    if (typeof observer !== 'object' || observer === null) {
      throw new OptionError('observer', observer, 'an object with functions named after events');
    }
    const own = { ...observer };
    for (const name of Object.keys(own)) {
      if (!EVENTS.includes(name)) throw new OptionError(name, Reflect.get(own, name), `one of ${EVENTS.join(', ')}`);
    }
    this.#list = [...this.#list, own];
    this.listen();
    return () => {
      this.#list = this.#list.filter((other) => other !== own);
      this.listen();
    };
  }

  /** Looks again whether anybody listens to the events of each lend and return. */
  listen(): void {
    const traffic = this.#list.some((observer) => TRAFFIC.some((name) => observer[name] !== undefined));
    this.onListening(traffic || this.#face.listening);
  }

  phase(from: Phase, to: Phase): void {
    this.onPhase(to);
    this.#channels.phase(to);
    if (this.#list.length > 0) this.#tell('phase', { from, to });
  }

  opening(attempt: number): void {
    if (this.#list.length > 0) this.#tell('opening', { attempt });
  }

  opened(id: number, ms: number, session: Session): void {
    this.#channels.opened(session);
    if (this.#list.length > 0) this.#tell('opened', { id, ms, pid: session.pid ?? 0 });
    this.#face.opened(session);
  }

  openFailed(error: Error, attempt: number, retryInMs: number | undefined): void {
    this.#channels.openFailed(error, attempt, retryInMs);
    if (this.#list.length === 0) return;
    this.#tell('openFailed', retryInMs === undefined ? { error, attempt } : { error, attempt, retryInMs });
  }

  waiting(position: number, label: string | undefined): void {
    if (this.#list.length > 0) this.#tell('waiting', label === undefined ? { position } : { position, label });
  }

  lent(id: number, lease: number, waitedMs: number, label: string | undefined, session: Session): void {
    if (this.#list.length > 0) {
      this.#tell('lent', label === undefined ? { id, lease, waitedMs } : { id, lease, waitedMs, label });
    }
    this.#face.lent(session);
  }

  released(session: Session, reason: unknown): void {
    this.#face.released(session, reason);
  }

  refused(reason: RefusalReason, error: Error): void {
    if (this.#list.length > 0) this.#tell('refused', { reason, error });
  }

  returned(id: number, lease: number, heldMs: number, outcome: ReturnOutcome): void {
    if (this.#list.length > 0) this.#tell('returned', { id, lease, heldMs, outcome });
  }

  retired(id: number, reason: RetireReason): void {
    if (this.#list.length > 0) this.#tell('retired', { id, reason });
  }

  lost(id: number, error: Error, state: string, session: Session): void {
    if (this.#list.length > 0) this.#tell('lost', { id, error, state });
    this.#face.lost(error, state, session);
  }

  closed(id: number, bySocketDestroyed: boolean, session: Session | undefined): void {
    if (this.#list.length > 0) this.#tell('closed', { id, bySocketDestroyed });
    if (session === undefined) return;
    this.#channels.closed(session);
    this.#face.closed(session);
  }

  examined(outcome: 'kept' | 'replaced' | 'late', ms: number, session: Session): void {
    this.#channels.examined(outcome, ms, session);
  }

  /** Observers see each report; the human sees it through the reporter behind. */
  report(report: Report): void {
    const { code, message, site } = report;
    this.#channels.report(report);
    if (this.#list.length > 0) this.#tell('report', site === undefined ? { code, message } : { code, message, site });
    this.#reporter.report(report);
  }

  #tell<N extends EventName>(name: N, payload: Payload<N>): void {
    for (const observer of this.#list) {
      try {
        (observer[name] as ((e: Payload<N>) => void) | undefined)?.(payload);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const message = `${this.#name}: an observer threw in "${name}": ${why}`;
        this.#reporter.report({ code: 'OXBOW_CALLBACK_FAILED', message, error });
      }
    }
  }
}
