// Just enough of a server for the conformance suite to run without one: what statements do to a scripted session. And a driver
// over it whose every part a test may break.

import type { Driver, Fault, OpenAttempt, Session, SessionStatus } from '../../src/contracts/driver.ts';
import type { ConformanceOptions } from '../../src/testing/driver-conformance.ts';
import {
  type Script,
  type ScriptedDriver,
  type ScriptedSession,
  scriptedDriver,
  scriptedError,
} from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

/** What the server knows of a session. */
class Memory {
  left = false;
  /** What was left came within the open transaction. */
  leftInside = false;
  /** The status around the statement that runs. */
  around: SessionStatus = 'idle';
  /** Fails the statement that runs. */
  stop: (error: Error) => void = () => {};
  /** The end of a reply that has not come; rejects if it never will. */
  reply: Promise<void> | undefined = undefined;
}

export class ToyServer {
  readonly driver: ScriptedDriver;
  readonly #memories = new Map<ScriptedSession, Memory>();
  /** Drivers that cannot connect. */
  readonly #others: ScriptedDriver[] = [];

  constructor() {
    this.driver = scriptedDriver(new VirtualClock(), this.#script);
  }

  memory(session: ScriptedSession): Memory {
    const memory = this.#memories.get(session) ?? new Memory();
    this.#memories.set(session, memory);
    return memory;
  }

  #script: Script = (call, session) => {
    if (session === undefined) return undefined;
    const memory = this.memory(session);
    if (call === 'end' || call === 'destroy') memory.stop(new Error('the session was closed'));
    if (call === 'discard' || (call === 'rollback' && memory.leftInside)) memory.left = false;
    if (call !== 'settle') return undefined;
    if (session.status !== 'busy') return { cancelled: false };
    memory.stop(scriptedError('57014', 'canceling statement due to user request'));
    return { status: memory.around };
  };

  async run(session: ScriptedSession, text: string): Promise<void> {
    if (session.status === 'lost') throw new Error('the session is closed');
    const memory = this.memory(session);
    memory.around = session.status;
    session.status = 'busy';
    session.lastStatement = text;
    await new Promise<void>((resolve, reject) => {
      memory.stop = reject;
      if (text !== 'slow') resolve();
    });
    const inside = memory.around !== 'idle';
    const refused = text === 'fail' || (text === 'leave' && memory.left);
    session.status = inside && refused ? 'failed' : text === 'begin' ? 'transaction' : memory.around;
    if (refused) throw scriptedError('22012', `${text} was refused`);
    if (text !== 'leave') return;
    memory.left = true;
    memory.leftInside = inside;
  }

  kill(session: ScriptedSession): void {
    session.kill();
    this.memory(session).stop(new Error('the session was lost'));
  }

  async unread(session: ScriptedSession): Promise<() => void> {
    const memory = this.memory(session);
    session.status = 'busy';
    let come = (): void => {};
    memory.reply = new Promise((resolve, reject) => {
      come = resolve;
      memory.stop = reject;
    });
    memory.reply.catch(() => {});
    return come;
  }

  sockets = (): number => [this.driver, ...this.#others].reduce((sum, { sockets }) => sum + sockets, 0);

  /** A driver whose every open goes as the script says. */
  other(script: Script): ScriptedDriver {
    const driver = scriptedDriver(new VirtualClock(), script);
    this.#others.push(driver);
    return driver;
  }
}

export const TOY_STATEMENTS = { quick: 'quick', begin: 'begin', fail: 'fail', slow: 'slow', leave: 'leave' } as const;

/** A session that keeps its word; a test may replace any of it. */
export class Sound implements Session {
  readonly inner: ScriptedSession;
  readonly #server: ToyServer;
  tellStatus: () => SessionStatus = () => this.inner.status;
  tellStatement: () => string | undefined = () => this.inner.lastStatement;

  constructor(inner: ScriptedSession, server: ToyServer) {
    this.inner = inner;
    this.#server = server;
  }

  get status(): SessionStatus {
    return this.tellStatus();
  }

  get pid(): number {
    return this.inner.pid;
  }

  get lastStatement(): string | undefined {
    return this.tellStatement();
  }

  onLost(listener: (error: Error) => void): void {
    this.inner.onLost(listener);
  }

  ping(): Promise<void> {
    return this.inner.ping();
  }

  rollback(): Promise<void> {
    return this.inner.rollback();
  }

  discard(): Promise<void> {
    return this.inner.discard();
  }

  async settle(): Promise<boolean> {
    const memory = this.#server.memory(this.inner);
    if (memory.reply === undefined) return this.inner.settle();
    await memory.reply;
    memory.reply = undefined;
    this.inner.status = 'idle';
    return false;
  }

  end(): Promise<void> {
    return this.#closed(this.inner.end());
  }

  destroy(): Promise<void> {
    return this.#closed(this.inner.destroy());
  }

  /** Whatever closed the socket, it is closed. */
  async #closed(closing: Promise<void>): Promise<void> {
    await closing.catch((error: unknown) => {
      if (this.inner.alive) throw error;
    });
  }
}

export class SoundDriver implements Driver<Sound> {
  readonly server: ToyServer;
  readonly #inner: ScriptedDriver;

  constructor(server: ToyServer, inner: ScriptedDriver = server.driver) {
    this.server = server;
    this.#inner = inner;
  }

  async open(attempt: OpenAttempt): Promise<Sound> {
    return new Sound(await this.#inner.open(attempt), this.server);
  }

  classify(error: unknown): Fault {
    return this.#inner.classify(error);
  }
}

/** How the suite works such a driver. `prepare` sees each driver that it uses. */
export function soundOptions(server: ToyServer, prepare: (driver: SoundDriver) => void): ConformanceOptions<Sound> {
  const peer = (script: Script) => () => {
    const driver = new SoundDriver(server, server.other(script));
    prepare(driver);
    return driver;
  };
  const refusing = (code: string) => peer(() => ({ fail: scriptedError(code) }));
  return {
    run: (session, text) => server.run(session.inner, text),
    kill: (session) => server.kill(session.inner),
    unread: (session) => server.unread(session.inner),
    sockets: server.sockets,
    statements: TOY_STATEMENTS,
    peers: {
      silent: peer(() => ({ never: true })),
      refused: refusing('ECONNREFUSED'),
      wrongPassword: refusing('28P01'),
      unknownDatabase: refusing('3D000'),
      full: refusing('53300'),
    },
  };
}
