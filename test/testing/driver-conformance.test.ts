// The conformance suite on the scripted driver; and each of its cases on a driver that is broken in just the way it looks for.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Fault } from '../../src/contracts/driver.ts';
import { type ConformanceOptions, driverConformance } from '../../src/testing/driver-conformance.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { type Sound, SoundDriver, soundOptions, TOY_STATEMENTS, ToyServer } from './toy-server.ts';

const never = new Promise<never>(() => {});
const scripted = new ToyServer();

for (const { name, run } of driverConformance(() => scripted.driver, {
  run: (session, text) => scripted.run(session, text),
  kill: (session) => scripted.kill(session),
  sockets: scripted.sockets,
  statements: TOY_STATEMENTS,
})) {
  test(`scripted driver: ${name}`, run);
}

interface Breakage {
  readonly driver?: (driver: SoundDriver) => void;
  readonly session?: (session: Sound) => void;
  readonly options?: (server: ToyServer) => Partial<ConformanceOptions<Sound>>;
}

function suite({ driver, session, options }: Breakage = {}): { name: string; run(): Promise<void> }[] {
  const server = new ToyServer();
  const prepare = (made: SoundDriver): void => {
    const open = made.open.bind(made);
    made.open = async (attempt) => {
      const opened = await open(attempt);
      session?.(opened);
      return opened;
    };
    driver?.(made);
  };
  const make = (): SoundDriver => {
    const made = new SoundDriver(server);
    prepare(made);
    return made;
  };
  return driverConformance(make, { ...soundOptions(server, prepare), withinMs: 150, ...options?.(server) });
}

const judging = (fault: Fault): Breakage => ({
  driver: (driver) => {
    driver.classify = () => fault;
  },
});

/** An open that was given up, and leaves its socket. */
const leaking: Breakage = {
  driver: (driver) => {
    const { open } = driver;
    driver.open = async (attempt) => {
      const late = await open({ attempt: 1, signal: new AbortController().signal });
      attempt.signal.throwIfAborted();
      return late;
    };
  },
};

/** A failed open that leaves a socket: counted here, since nothing else knows it. */
const failing: Breakage = {
  options: (server) => ({ sockets: () => server.sockets() + scriptedFailures(server) }),
  driver: (driver) => {
    const { open } = driver;
    driver.open = (attempt) =>
      open(attempt).catch((error: unknown) => {
        failures.set(driver.server, scriptedFailures(driver.server) + 1);
        throw error;
      });
  },
};
const failures = new Map<ToyServer, number>();
const scriptedFailures = (server: ToyServer): number => failures.get(server) ?? 0;

const broken = (session: (session: Sound) => void): Breakage => ({ session });

/** Rejects from the second call on. */
function onlyOnce(call: () => Promise<void>): () => Promise<void> {
  let called = false;
  return async () => {
    if (called) throw new Error('called twice');
    called = true;
    await call();
  };
}

const BREAKAGES: Record<string, Breakage[]> = {
  'open resolves to a session at rest': [
    broken((session) => {
      session.tellStatus = () => 'transaction';
    }),
  ],
  'each open makes a session of its own': [
    {
      driver: (driver) => {
        const { open } = driver;
        let first: Promise<Sound> | undefined;
        driver.open = (attempt) => {
          first ??= open(attempt);
          return first;
        };
      },
    },
  ],
  'an open whose signal was aborted before settles soon and leaves no socket': [
    leaking,
    {
      driver: (driver) => {
        const { open } = driver;
        driver.open = (attempt) => (attempt.signal.aborted ? never : open(attempt));
      },
    },
  ],
  'an open that is aborted under way settles soon and leaves no socket': [
    leaking,
    {
      driver: (driver) => {
        const { open } = driver;
        driver.open = (attempt) => open(attempt).catch(() => never);
      },
    },
  ],
  'an abort after the open does its session no harm': [
    {
      driver: (driver) => {
        const { open } = driver;
        driver.open = async (attempt) => {
          const session = await open(attempt);
          attempt.signal.addEventListener('abort', () => session.inner.kill());
          return session;
        };
      },
    },
  ],
  'classify has an answer for whatever was thrown': [
    {
      driver: (driver) => {
        const classify = driver.classify.bind(driver);
        driver.classify = (error) => {
          if (error === null) throw new TypeError('null has no code');
          return classify(error);
        };
      },
    },
  ],
  'an open that gets no answer is given up when it is aborted': [
    {
      options: (server) => ({
        peers: {
          silent: () =>
            new SoundDriver(
              server,
              server.other(() => DEAF),
            ),
        },
      }),
    },
  ],
  'a refused connect is transient and leaves no socket': [judging('permanent'), failing],
  'a wrong password is permanent and leaves no socket': [judging('transient'), failing],
  'an unknown database is permanent and leaves no socket': [judging('transient'), failing],
  'a full server is known as full and leaves no socket': [judging('transient'), failing],
  'a session is busy from the start of a statement to its end, then at rest': [
    broken((session) => {
      session.tellStatus = () => (session.inner.status === 'busy' ? 'idle' : session.inner.status);
    }),
    broken((session) => {
      session.tellStatus = () => (session.inner.lastStatement === undefined ? 'idle' : 'busy');
    }),
  ],
  'a statement that fails outside a transaction leaves the session at rest': [
    broken((session) => {
      session.tellStatus = () => (session.inner.lastStatement === 'fail' ? 'failed' : session.inner.status);
    }),
  ],
  'the status tells an open transaction from a failed one': [
    broken((session) => {
      session.tellStatus = () => (session.inner.status === 'failed' ? 'transaction' : session.inner.status);
    }),
    broken((session) => {
      session.tellStatus = () => (session.inner.status === 'transaction' ? 'idle' : session.inner.status);
    }),
  ],
  'the last statement, if it is told, is the one that ran last': [
    broken((session) => {
      session.tellStatement = () => 'begin';
    }),
  ],
  'a ping changes nothing: not at rest, not in a transaction, not in a failed one': [
    broken((session) => {
      session.ping = () => session.discard();
    }),
    broken((session) => {
      session.ping = () => session.rollback();
    }),
    broken((session) => {
      const { ping } = session;
      session.ping = async () => {
        await ping.call(session);
        if (session.inner.status === 'failed') throw new Error('current transaction is aborted');
      };
    }),
  ],
  'a ping of a lost session rejects': [
    broken((session) => {
      session.ping = async () => {};
    }),
    broken((session) => {
      session.ping = () => never;
    }),
  ],
  'rollback ends an open transaction and undoes it': [
    broken((session) => {
      session.rollback = async () => {
        session.inner.status = 'idle';
      };
    }),
  ],
  'rollback ends a failed transaction': [
    broken((session) => {
      session.rollback = async () => {};
    }),
  ],
  'discard forgets what was left in the session': [
    broken((session) => {
      session.discard = async () => {};
    }),
  ],
  'settle cancels a statement that runs, and nothing that comes after it': [
    broken((session) => {
      const { settle } = session;
      session.settle = async () => !(await settle.call(session));
    }),
    broken((session) => {
      session.settle = async () => true;
    }),
    // Its request comes late and hits what runs then.
    broken((session) => {
      const { settle } = session;
      session.settle = async () => {
        const cancelled = await settle.call(session);
        queueMicrotask(() => session.inner.kill());
        return cancelled;
      };
    }),
  ],
  'settle of a statement that is over cancels nothing': [
    broken((session) => {
      session.settle = async () => true;
    }),
  ],
  'settle of a statement that is over but for the end of its reply only reads that end': [
    broken((session) => {
      session.settle = async () => false;
    }),
    broken((session) => {
      session.settle = async () => {
        session.inner.status = 'idle';
        return false;
      };
    }),
    broken((session) => {
      const { settle } = session;
      session.settle = () => settle.call(session).then(() => true);
    }),
  ],
  'settle rejects if the session is lost meanwhile': [
    broken((session) => {
      session.settle = () => never;
    }),
    broken((session) => {
      const { settle } = session;
      session.settle = () => settle.call(session).catch(() => false);
    }),
  ],
  'end resolves when the socket is gone': [
    broken((session) => {
      const { end } = session;
      session.end = async () => {
        setImmediate(() => void end.call(session));
      };
    }),
    broken((session) => {
      session.tellStatus = () => (session.inner.alive ? session.inner.status : 'idle');
    }),
  ],
  'end may be repeated, and followed by destroy': [
    broken((session) => {
      session.end = onlyOnce(session.end.bind(session));
    }),
  ],
  'destroy resolves when the socket is gone': [
    broken((session) => {
      const { destroy } = session;
      session.destroy = async () => {
        setImmediate(() => void destroy.call(session));
      };
    }),
  ],
  'destroy may be repeated': [
    broken((session) => {
      session.destroy = onlyOnce(session.destroy.bind(session));
    }),
  ],
  'destroy cuts a running statement, which then rejects': [
    broken((session) => {
      session.destroy = async () => session.inner.gone();
    }),
  ],
  'destroy overtakes an end that is under way': [
    broken((session) => {
      session.end = () => never;
    }),
    broken((session) => {
      const { destroy } = session;
      let ending = false;
      session.end = () => {
        ending = true;
        return never;
      };
      session.destroy = () => (ending ? never : destroy.call(session));
    }),
  ],
  'a planned end is not told as a loss': [
    broken((session) => {
      const { end } = session;
      let told = (_error: Error): void => {};
      session.onLost = (listener) => {
        told = listener;
      };
      session.end = () => end.call(session).then(() => told(new Error('ended')));
    }),
  ],
  'a session that was ended from the other side is lost, and that is told once': [
    broken((session) => {
      session.onLost = () => {};
    }),
    broken((session) => {
      const { onLost } = session;
      session.onLost = (listener) =>
        onLost.call(session, (error) => {
          listener(error);
          listener(error);
        });
    }),
  ],
  'a loss is told also to a listener that came after it, once': [
    broken((session) => {
      const { onLost } = session;
      session.onLost = (listener) => {
        if (session.inner.alive) onLost.call(session, listener);
      };
    }),
    broken((session) => {
      session.onLost = (listener) => {
        listener(new Error('lost'));
        queueMicrotask(() => listener(new Error('lost')));
      };
    }),
  ],
  'a running statement rejects when its session is lost': [
    { options: () => ({ kill: (session) => session.inner.kill() }) },
  ],
};

const DEAF = { never: true, deaf: true } as const;

for (const { name, run } of suite()) test(`sound driver: ${name}`, run);

test('for each case there is a driver that breaks it', () => {
  assert.deepEqual(
    Object.keys(BREAKAGES).sort(),
    suite()
      .map(({ name }) => name)
      .sort(),
  );
});

for (const [name, breakages] of Object.entries(BREAKAGES)) {
  for (const [index, breakage] of breakages.entries()) {
    test(`broken driver ${index + 1} of ${breakages.length} fails: ${name}`, async () => {
      const found = suite(breakage).find((one) => one.name === name);
      assert.ok(found !== undefined);
      await assert.rejects(found.run(), (error) => {
        assert.ok(error instanceof Error);
        assert.doesNotMatch(error.message, /every session is destroyed/, 'noticed by the clearing alone');
        return true;
      });
    });
  }
}

test('what a driver may leave out leaves out its cases', () => {
  const toy = new ToyServer();
  const { run, kill, sockets } = soundOptions(toy, () => {});
  const few = driverConformance(() => new SoundDriver(toy), { run, kill, sockets });
  const all = new Set(suite().map(({ name }) => name));
  assert.equal(few.length, all.size - 7);
  assert.ok(few.every(({ name }) => all.has(name)));
});

test('a session that a case leaves behind fails it', async () => {
  const leak = suite(
    broken((session) => {
      session.destroy = async () => {};
    }),
  );
  const found = leak.find(
    ({ name }) => name === 'a statement that fails outside a transaction leaves the session at rest',
  );
  await assert.rejects(async () => found?.run(), /no socket of the case is left \(there are 1\)/);
});

test('on a virtual clock the bounds are virtual time', async () => {
  const toy = new ToyServer();
  const clock = new VirtualClock();
  const options: ConformanceOptions<Sound> = { ...soundOptions(toy, () => {}), clock, withinMs: 60_000 };
  const make = (): SoundDriver => {
    const driver = new SoundDriver(toy);
    driver.open = () => never;
    return driver;
  };
  const found = driverConformance(make, options).find(({ name }) => name === 'open resolves to a session at rest');
  assert.ok(found !== undefined);
  const outcome = assert.rejects(found.run(), /not within 60000 ms: open settles/);
  await clock.advance(60_000);
  await outcome;
});
