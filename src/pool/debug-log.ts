// What happens in a pool, line by line, for whoever sets NODE_DEBUG=oxbow. Owns the text of those lines on stderr, where there is no logger;
// nothing is paid for it otherwise.

import { debuglog } from 'node:util';
import type { Observer } from '../contracts/events.ts';
import type { Logger } from '../contracts/options.ts';
import { bindsIo } from '../sharing/io-context.ts';

const log = debuglog('oxbow');
/** Cloudflare's `debuglog` is always enabled and writes whatever it is given. */
export const debugAsked: boolean =
  log.enabled && (!bindsIo || /(^|,)\s*(oxbow|\*)/i.test(process.env.NODE_DEBUG ?? ''));

/** Tells single lines that are for developers: to the logger's `debug`, or to stderr if somebody asked for that. */
export function debugLine(pool: string, logger: Logger | undefined): (text: string) => void {
  return (text) => {
    if (logger !== undefined) logger.debug({ pool }, `${pool}: ${text}`);
    else if (debugAsked) log('%s', `${pool}: ${text}`);
  };
}

/** An observer of `events` that writes each of them to stderr, or nothing if nobody asked for that. */
export function debugObserver(pool: string, events: readonly string[]): Partial<Observer> | undefined {
  if (!debugAsked) return undefined;
  const tell = (event: string, facts: object): void => {
    const text = Object.entries(facts).map(
      ([key, value]) => `${key}=${value instanceof Error ? value.message : value}`,
    );
    log('%s', [`${pool}:`, event, ...text].join(' '));
  };
  return Object.fromEntries(events.map((event) => [event, (facts: object) => tell(event, facts)]));
}
