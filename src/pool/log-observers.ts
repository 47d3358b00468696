// What of a pool's events is written, and where: to the user's logger by their levels, or to stderr with NODE_DEBUG=oxbow. Owns the text of the
// logger's lines, and that each lend is written only for a log that wants it: else nothing is paid for it. Reports go their own way.

import type { Fault } from '../contracts/driver.ts';
import type { Observer } from '../contracts/events.ts';
import type { Logger } from '../contracts/options.ts';
import { LEVELS, type Level } from '../telemetry/log-levels.ts';
import { debugAsked, debugObserver } from './debug-log.ts';

type Classify = (error: Error) => Fault;

export function logObservers(
  pool: string,
  logger: Logger | undefined,
  classify: Classify,
): (Partial<Observer> | undefined)[] {
  if (logger === undefined) return [debugObserver(pool, Object.keys(LEVELS))];
  const say = sayingTo(pool, logger);
  return [aboutOutages(say, classify), wantsDebug(logger) ? details(say) : undefined];
}

/** Asked once, when the pool is made: a log that cannot say so is told of no lend. */
function wantsDebug(logger: Logger): boolean {
  try {
    return debugAsked || logger.isLevelEnabled?.('debug') === true;
  } catch {
    return false;
  }
}

type Say = (level: Level | 'error', event: string, facts: object, text: string) => void;

/** What the log cannot take is lost: a report has another way out, and this is none. */
function sayingTo(pool: string, logger: Logger): Say {
  return (level, event, facts, text) => {
    try {
      logger[level]({ pool, event, ...shown(facts) }, `${pool}: ${text}`);
    } catch {}
  };
}

function aboutOutages(say: Say, classify: Classify): Partial<Observer> {
  let failures = 0;
  return {
    phase: (facts) => say(LEVELS.phase, 'phase', facts, `${facts.from} → ${facts.to}`),
    openFailed: (facts) => {
      const { error, attempt, retryInMs } = facts;
      failures += 1;
      const again = retryInMs === undefined ? 'at once' : `in ${Math.round(retryInMs)} ms`;
      // A wrong password does not pass by itself.
      const level = classify(error) === 'permanent' ? 'error' : LEVELS.openFailed;
      say(level, 'openFailed', facts, `connecting failed (attempt ${attempt}), again ${again}: ${error.message}`);
    },
    opened: ({ id, pid }) => {
      if (failures > 0)
        say('info', 'restored', { id, pid, failures }, `connecting works again, after ${failures} that failed`);
      failures = 0;
    },
    lost: (facts) => say(LEVELS.lost, 'lost', facts, `a connection (${facts.state}) was lost: ${facts.error.message}`),
  };
}

/** All that is for developers. */
function details(say: Say): Partial<Observer> {
  const events = Object.entries(LEVELS).filter(([, level]) => level === 'debug');
  return Object.fromEntries(events.map(([event]) => [event, (facts: object) => say('debug', event, facts, event)]));
}

/** Loggers know an error by the name `err`. */
function shown(facts: object): object {
  if (!('error' in facts)) return facts;
  const { error, ...rest } = facts;
  return { ...rest, err: error };
}
