// A PostgreSQL server behind sockets in memory, on the virtual clock: sessions, statements, cancel requests, and a network that takes
// a millisecond each way. Whatever it is asked it first asks its script about; owns what then happens on the wire, and sees to it that
// nothing is sent on a session that still owes a reply or may still be hit by a cancel.

import type { Clock, Timer } from '../../../src/contracts/clock.ts';
import {
  askPassword,
  authenticated,
  backendKey,
  bindOf,
  failure,
  type Message,
  Messages,
  openingOf,
  parameter,
  parseText,
  queryText,
  ready,
  type Status,
} from './protocol.ts';
import { MemorySocket, type Network, socketError } from './socket.ts';
import {
  cancelledByUser,
  divisionByZero,
  failed,
  lastsMs,
  replyTo,
  type Statement,
  statementOf,
  stopped,
} from './statements.ts';

const LATENCY_MS = 1;

/**
 * What the server can be asked: to take a connection, to let a client in, to run a statement, to say that it is ready for the next,
 * to cancel, to end a statement that was cancelled, to close after a goodbye, to see a socket cut.
 */
export type Question = 'accept' | 'log-in' | 'statement' | 'ready' | 'cancel' | 'cancelled' | 'goodbye' | 'cut';

export interface Asked {
  readonly question: Question;
  readonly socket: MemorySocket;
  readonly backend: Backend | undefined;
  readonly statement: Statement | undefined;
}

/** How it goes about it. `first`: so much of it comes at once, and only the rest after that time. */
export interface Answer {
  readonly how: 'done' | 'error' | 'fatal' | 'close' | 'reset' | 'never';
  readonly afterMs: number;
  readonly torn: boolean;
  /** Called as soon as the client has it, before it can do anything about it. */
  readonly after: () => void;
}

const AT_ONCE: Answer = { how: 'done', afterMs: 0, torn: false, after: () => {} };

/** Who says how it goes, and hears what goes wrong. */
export interface Script {
  answer(asked: Asked): Answer | undefined;
  complain(violation: string): void;
  /** A statement leaves the client. */
  sent(statement: Statement, backend: Backend): void;
  /** A statement was cancelled on the server. */
  hit(statement: Statement, backend: Backend): void;
}

interface Running {
  readonly statement: Statement;
  /** It has not come to its end yet, and can be cancelled. */
  active: boolean;
  timer: Timer | undefined;
}

/** One session, as the server has it. */
export class Backend {
  readonly pid: number;
  readonly key: number;
  readonly socket: MemorySocket;
  status: Status = 'I';
  /** As the client was told. */
  told: Status = 'I';
  alive = true;
  /** Marks of all statements that were sent to it. */
  readonly marks: Set<string> = new Set();
  running: Running | undefined;

  constructor(pid: number, socket: MemorySocket) {
    this.pid = pid;
    this.key = 7_000 + pid;
    this.socket = socket;
  }
}

/** One socket, as the network has it. */
class Line {
  readonly socket: MemorySocket;
  readonly messages: Messages = new Messages();
  backend: Backend | undefined;
  /** Whose statement it asks to cancel. */
  target: number | undefined;
  /** The request may still take effect. */
  pending = false;
  /** Replies that the client has yet to read to their end. */
  owed = 0;
  open = true;
  leaving = false;
  /** Texts by the names that the client gave them. */
  readonly texts: Map<string, string> = new Map();
  /** What is bound, and nothing has asked for the end of the reply yet. */
  bound: Statement | undefined;
  /** … and something has, on its way. */
  readonly synced: (Statement | undefined)[] = [];

  constructor(socket: MemorySocket) {
    this.socket = socket;
  }
}

export class WireServer implements Network {
  readonly sockets: MemorySocket[] = [];
  readonly backends: Backend[] = [];
  /** How often each marked statement was begun. */
  readonly begun: Map<string, number> = new Map();
  password = false;
  activity = 'active';
  /** SQLSTATEs that a marked statement was answered with. */
  readonly told: Map<string, Set<string>> = new Map();
  readonly #lines = new Map<MemorySocket, Line>();
  readonly #clock: Clock;
  readonly #script: Script;
  #pids = 100;

  constructor(clock: Clock, script: Script) {
    this.#clock = clock;
    this.#script = script;
  }

  /** What pg and the driver make their sockets with: it is told which are for cancel requests. */
  readonly stream = (about?: { readonly cancel?: boolean }): MemorySocket => {
    const socket = new MemorySocket(this, about?.cancel === true);
    this.sockets.push(socket);
    return socket;
  };

  get openSessions(): number {
    return this.sockets.filter(({ open, cancels }) => open && !cancels).length;
  }

  get openCancels(): number {
    return this.sockets.filter(({ open, cancels }) => open && cancels).length;
  }

  get alive(): Backend[] {
    return this.backends.filter(({ alive }) => alive);
  }

  of(pid: number | null): Backend | undefined {
    return this.backends.find((backend) => backend.pid === pid);
  }

  /** Whether something is still to come on a session before it may be lent. */
  unsettled({ socket, pid }: Backend): string | undefined {
    if ((this.#lines.get(socket)?.owed ?? 0) > 0) return 'whose last reply is outstanding';
    if (this.#mayBeHit(pid)) return 'that a cancel may still hit';
    return undefined;
  }

  /** An administrator ends a session. */
  kill(backend: Backend): void {
    const line = this.#lines.get(backend.socket);
    if (line === undefined || !backend.alive) return;
    this.#send(line, stopped());
    this.#close(line);
  }

  // ── the network ───────────────────────────────────────────────────────────────────────────────────────────────────────

  dialled(socket: MemorySocket): void {
    const line = new Line(socket);
    this.#lines.set(socket, line);
    this.#afterLatency(() => this.#accept(line));
  }

  written(socket: MemorySocket, chunk: Buffer): void {
    const line = this.#lines.get(socket);
    if (line === undefined) return;
    for (const message of line.messages.add(chunk)) {
      this.#leaves(line, message);
      this.#afterLatency(() => this.#arrives(line, message));
    }
  }

  finished(socket: MemorySocket): void {
    const line = this.#lines.get(socket);
    if (line !== undefined) this.#afterLatency(() => this.#leave(line));
  }

  cut(socket: MemorySocket, gone: (error?: Error) => void): void {
    const line = this.#lines.get(socket);
    if (line !== undefined) this.#afterLatency(() => this.#shut(line));
    const backend = line?.backend;
    const answer = this.#script.answer({ question: 'cut', socket, backend, statement: undefined });
    if (answer === undefined) {
      gone();
      return;
    }
    const over = (): void => {
      gone(answer.how === 'done' || answer.how === 'close' ? undefined : socketError('EIO'));
      answer.after();
    };
    if (answer.how === 'never') return;
    if (answer.afterMs === 0) over();
    else this.#clock.timer(answer.afterMs, over);
  }

  // ── what the client may not do ────────────────────────────────────────────────────────────────────────────────────────

  #leaves(line: Line, { type, body }: Message): void {
    const { backend } = line;
    if (type === '') {
      const opening = openingOf(body);
      if (opening.is === 'cancel') {
        line.target = opening.pid;
        line.pending = true;
      }
      return;
    }
    if (type === 'P') {
      const { name, text } = parseText(body);
      line.texts.set(name, text);
    } else if (type === 'B') {
      const { name, values } = bindOf(body);
      const ahead = line.bound === undefined ? [] : [...line.bound.ahead, line.bound.text];
      line.bound = statementOf(line.texts.get(name) ?? '', values, true, ahead);
    }
    if (backend === undefined || (type !== 'Q' && type !== 'S')) return;
    const statement = type === 'Q' ? statementOf(queryText(body), [], false) : line.bound;
    if (type === 'S') {
      line.bound = undefined;
      line.synced.push(statement);
    }
    const unsettled = this.unsettled(backend);
    if (unsettled !== undefined)
      this.#script.complain(`"${statement?.text}" was sent on session ${backend.pid}, ${unsettled}`);
    line.owed += 1;
    if (statement === undefined) return;
    if (statement.mark !== undefined) backend.marks.add(statement.mark);
    this.#script.sent(statement, backend);
  }

  #mayBeHit(pid: number): boolean {
    for (const line of this.#lines.values()) {
      if (line.target === pid && (line.pending || line.socket.open)) return true;
    }
    return false;
  }

  // ── what the server does ──────────────────────────────────────────────────────────────────────────────────────────────

  #ask(question: Question, line: Line, statement?: Statement): Answer {
    const { socket, backend } = line;
    return this.#script.answer({ question, socket, backend, statement }) ?? AT_ONCE;
  }

  #accept(line: Line): void {
    if (!line.open) return;
    const answer = this.#ask('accept', line);
    const { socket } = line;
    if (answer.how === 'never') return;
    this.#after(answer.afterMs, () => {
      if (!line.open) return;
      this.#afterLatency(() => {
        if (answer.how === 'error') socket.broken('ECONNREFUSED');
        else socket.established();
        answer.after();
      });
      if (answer.how === 'fatal' && !socket.cancels)
        this.#send(line, failure('FATAL', '57P03', 'the database system is starting up'));
      if (answer.how === 'reset') this.#break(line);
      else if (answer.how === 'fatal' || answer.how === 'close') this.#close(line);
    });
  }

  #arrives(line: Line, { type, body }: Message): void {
    if (!line.open) {
      line.pending = false;
      return;
    }
    if (type === '') {
      const opening = openingOf(body);
      if (opening.is === 'cancel') this.#cancel(line, opening.pid, opening.key);
      else if (opening.is === 'start' && this.password) this.#send(line, askPassword());
      else if (opening.is === 'start') this.#logIn(line);
    } else if (type === 'p') {
      this.#logIn(line);
    } else if (type === 'X') {
      this.#leave(line);
    } else if (type === 'Q') {
      this.#run(line, statementOf(queryText(body), [], false));
    } else if (type === 'S') {
      const statement = line.synced.shift();
      if (statement !== undefined) this.#run(line, statement);
      else if (line.backend !== undefined) this.#send(line, ready(line.backend.status));
    }
  }

  #logIn(line: Line): void {
    const answer = this.#ask('log-in', line);
    this.#pids += 1;
    const backend = new Backend(this.#pids, line.socket);
    const greeting = [
      authenticated(),
      parameter('server_version', '18.0'),
      backendKey(backend.pid, backend.key),
      ready('I'),
    ];
    this.#reply(
      line,
      answer,
      Buffer.concat(greeting),
      failure('FATAL', '53300', 'sorry, too many clients already'),
      () => {
        if (answer.how !== 'done') return;
        line.backend = backend;
        this.backends.push(backend);
      },
    );
    if (answer.how === 'error') this.#after(answer.afterMs, () => this.#close(line));
  }

  #run(line: Line, statement: Statement): void {
    const { backend } = line;
    if (backend === undefined || !backend.alive) return;
    if (backend.running !== undefined) this.#script.complain(`"${statement.text}" arrived while another one ran`);
    const { mark } = statement;
    if (mark !== undefined) this.begun.set(mark, (this.begun.get(mark) ?? 0) + 1);
    const running: Running = { statement, active: true, timer: undefined };
    backend.running = running;
    const answer = this.#ask('statement', line, statement);
    if (answer.how === 'never') return;
    const lasts = lastsMs(statement) + (answer.torn ? 0 : answer.afterMs);
    const end = (): void => {
      running.active = false;
      this.#end(line, backend, statement, answer);
    };
    if (lasts === 0) end();
    else running.timer = this.#clock.timer(lasts, end);
  }

  /** A statement has come to its end: by itself, or by the script's word. */
  #end(line: Line, backend: Backend, statement: Statement, answer: Answer): void {
    const known = { pid: backend.pid, activity: this.activity };
    const fine = replyTo(statement, backend.status, known);
    if (answer.how === 'error') {
      this.#finish(
        line,
        backend,
        statement,
        { ...answer, how: 'done', afterMs: 0 },
        divisionByZero(),
        failed(backend.status),
      );
    } else {
      this.#finish(line, backend, statement, answer.torn ? answer : { ...answer, afterMs: 0 }, fine.bytes, fine.status);
    }
  }

  /** Its reply goes out, and in the end the word that the session is ready; unless the script has that hang. */
  #finish(line: Line, backend: Backend, statement: Statement, answer: Answer, bytes: Buffer, status: Status): void {
    const code = /\0C(\w{5})\0M/.exec(bytes.toString('latin1'))?.[1];
    const { mark } = statement;
    if (mark !== undefined && code !== undefined) this.told.set(mark, new Set([...(this.told.get(mark) ?? []), code]));
    const hanging = answer.how === 'done' && !answer.torn ? this.#ask('ready', line, statement) : AT_ONCE;
    const settle = (): void => {
      backend.status = status;
      backend.running = undefined;
    };
    if (hanging === AT_ONCE) {
      this.#reply(line, answer, Buffer.concat([bytes, ready(status)]), Buffer.alloc(0), settle, status);
    } else {
      this.#send(line, bytes);
      const error = Buffer.concat([failure('ERROR', 'XX000', 'something else'), ready(status)]);
      this.#reply(line, hanging, ready(status), error, settle, status);
    }
  }

  /** Sends `bytes` (or `error`) in the way of the answer; `effect` when they go out. */
  #reply(line: Line, answer: Answer, bytes: Buffer, error: Buffer, effect: () => void, status?: Status): void {
    if (answer.how === 'never') return;
    const whole = answer.how === 'done' || answer.how === 'error';
    const sent = answer.how === 'error' ? error : bytes;
    const half = answer.torn ? Math.ceil(sent.length / 2) : 0;
    if (half > 0) this.#send(line, sent.subarray(0, half));
    this.#after(answer.afterMs, () => {
      if (!line.open) return;
      if (whole) {
        effect();
        this.#send(line, sent.subarray(half), () => {
          if (status !== undefined) {
            line.owed -= 1;
            if (line.backend !== undefined) line.backend.told = status;
          }
          return answer.after;
        });
        return;
      }
      if (answer.how === 'fatal') this.#send(line, stopped());
      if (answer.how === 'reset') this.#break(line, answer.after);
      else this.#close(line, answer.after);
    });
  }

  #cancel(line: Line, pid: number, key: number): void {
    const backend = this.of(pid);
    const statement = backend?.running?.statement;
    const answer = this.#script.answer({ question: 'cancel', socket: line.socket, backend, statement }) ?? AT_ONCE;
    if (answer.how === 'never') {
      // It is lost on the way: it hits nothing any more.
      line.pending = false;
      return;
    }
    const signal = (): void => {
      line.pending = false;
      if (answer.how === 'done' && backend !== undefined && backend.key === key) this.#hit(backend);
    };
    if (answer.torn) signal();
    this.#after(answer.afterMs, () => {
      if (!answer.torn) signal();
      if (answer.how === 'fatal') this.#send(line, failure('FATAL', '57P01', 'not now'));
      if (answer.how === 'error' || answer.how === 'reset') this.#break(line, answer.after);
      else this.#close(line, answer.after);
    });
  }

  #hit(backend: Backend): void {
    const { running } = backend;
    const line = this.#lines.get(backend.socket);
    if (running === undefined || !running.active || line === undefined || !backend.alive) return;
    running.timer?.cancel();
    running.active = false;
    const { statement } = running;
    this.#script.hit(statement, backend);
    const answer = this.#ask('cancelled', line, statement);
    const status = failed(backend.status);
    const other = answer.how === 'error';
    const end = (): void => {
      if (line.open)
        this.#finish(
          line,
          backend,
          statement,
          { ...answer, how: other ? 'done' : answer.how },
          other ? divisionByZero() : cancelledByUser(),
          status,
        );
    };
    if (answer.how !== 'never') end();
  }

  /** The client has said goodbye, or will write no more. */
  #leave(line: Line): void {
    if (!line.open || line.leaving) return;
    line.leaving = true;
    const answer = line.socket.cancels ? AT_ONCE : this.#ask('goodbye', line);
    if (line.backend !== undefined) line.backend.alive = false;
    if (answer.how === 'never') return;
    this.#after(answer.afterMs, () => {
      if (answer.how === 'fatal') this.#send(line, stopped());
      if (answer.how === 'error' || answer.how === 'reset') this.#break(line, answer.after);
      else this.#close(line, answer.after);
    });
  }

  #close(line: Line, then: () => void = () => {}): void {
    if (!line.open) return;
    this.#shut(line);
    this.#afterLatency(() => {
      line.socket.ended();
      then();
    });
  }

  #break(line: Line, then: () => void = () => {}): void {
    if (!line.open) return;
    this.#shut(line);
    this.#afterLatency(() => {
      line.socket.broken('ECONNRESET');
      then();
    });
  }

  #shut(line: Line): void {
    line.open = false;
    const { backend } = line;
    if (backend === undefined) return;
    backend.alive = false;
    backend.running?.timer?.cancel();
    backend.running = undefined;
  }

  #send(line: Line, bytes: Buffer, read?: () => () => void): void {
    if (!line.open) return;
    this.#afterLatency(() => {
      const then = read?.();
      line.socket.deliver(bytes);
      then?.();
    });
  }

  #after(ms: number, work: () => void): void {
    if (ms === 0) work();
    else this.#clock.timer(ms, work);
  }

  #afterLatency(work: () => void): void {
    this.#clock.timer(LATENCY_MS, work);
  }
}
