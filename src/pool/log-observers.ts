// What of a pool's events is written, and where: to the user's logger by their levels, or to stderr with NODE_DEBUG=oxbow. Owns the text of the
// logger's lines, and that each lend is written only for a log that wants it: else nothing is paid for it. Reports go their own way.

import type { Observer } from '../contracts/events.ts';
import type { Logger } from '../contracts/options.ts';
import { LEVELS } from '../telemetry/log-levels.ts';
import { debugAsked, debugObserver } from './debug-log.ts';

export function logObservers(pool: string, logger: Logger | undefined): (Partial<Observer> | undefined)[] {
  if (logger === undefined) return [debugObserver(pool, Object.keys(LEVELS))];
  return [aboutOutages(pool, logger), wantsDebug(logger) ? details(pool, logger) : undefined];
}

/** Asked once, when the pool is made: a log that cannot say so is told of no lend. */
function wantsDebug(logger: Logger): boolean {
  try {
    return debugAsked || logger.isLevelEnabled?.('debug') === true;
  } catch {
    return false;
  }
}

function aboutOutages(pool: string, logger: Logger): Partial<Observer> {
  let failures = 0;
  return {
    phase: ({ from, to }) => logger[LEVELS.phase]({ pool, event: 'phase', from, to }, `${pool}: ${from} → ${to}`),
    openFailed: ({ error, attempt, retryInMs }) => {
      failures += 1;
      const facts = { pool, event: 'openFailed', attempt, retryInMs, err: error };
      // What is not tried again does not end by itself.
      if (retryInMs === undefined) logger.error(facts, `${pool}: connecting failed, for good: ${error.message}`);
      else
        logger[LEVELS.openFailed](
          facts,
          `${pool}: connecting failed (attempt ${attempt}), again in ${Math.round(retryInMs)} ms: ${error.message}`,
        );
    },
    opened: ({ id, pid }) => {
      if (failures > 0)
        logger.info(
          { pool, event: 'opened', id, pid, failures },
          `${pool}: connecting works again after ${failures} failures`,
        );
      failures = 0;
    },
    lost: ({ id, error, state }) =>
      logger[LEVELS.lost](
        { pool, event: 'lost', id, state, err: error },
        `${pool}: a connection (${state}) was lost: ${error.message}`,
      ),
  };
}

/** All that is for developers. */
function details(pool: string, logger: Logger): Partial<Observer> {
  const events = Object.entries(LEVELS).filter(([, level]) => level === 'debug');
  return Object.fromEntries(
    events.map(([event]) => [
      event,
      (facts: object) => logger.debug({ pool, event, ...shown(facts) }, `${pool}: ${event}`),
    ]),
  );
}

/** Loggers know an error by the name `err`. */
function shown(facts: object): object {
  if (!('error' in facts)) return facts;
  const { error, ...rest } = facts;
  return { ...rest, err: error };
}
