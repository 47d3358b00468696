// Who takes part: one pool each, the same but for who listens to it. `nobody again` is `nobody` in another process: the A/A row.

import { channel, tracingChannel } from 'node:diagnostics_channel';
import { pathToFileURL } from 'node:url';
import type { Pool } from '../../src/doors/index.ts';
import { Ours } from '../lib/ours.ts';
import { strippedBuild } from './stripped.ts';

const hear = (): void => {};

/** All that a subscriber may subscribe to. */
const EACH = { start: hear, end: hear, asyncStart: hear, asyncEnd: hear, error: hear };

function traces(...names: string[]): Ours {
  for (const name of names) tracingChannel(name).subscribe(EACH);
  return new Ours();
}

function told(...names: string[]): Ours {
  for (const name of names) channel(name).subscribe(hear);
  return new Ours();
}

/** The same pool without the places where anybody is told. */
async function stripped(): Promise<Ours> {
  const { href } = pathToFileURL(strippedBuild());
  const door: unknown = await import(href);
  const Class: unknown = Reflect.get(Object(door), 'Pool');
  if (typeof Class !== 'function') throw new Error('the stripped build has no Pool');
  return new Ours({}, Class as typeof Pool);
}

const CONTESTANTS = {
  nobody: () => new Ours(),
  'nobody again': () => new Ours(),
  'nobody, the channels taken out of the build': stripped,
  'a subscriber of pg:pool:connect': () => traces('pg:pool:connect'),
  'a subscriber of pg:pool:release': () => told('pg:pool:release'),
  'a subscriber of oxbow:query': () => traces('oxbow:query'),
  'a subscriber of what is rare': () => {
    traces('oxbow:transaction');
    return told('pg:pool:remove', 'oxbow:reconnect', 'oxbow:validate', 'oxbow:leak', 'oxbow:resize', 'oxbow:drain');
  },
  'an observer of phases': () => {
    const ours = new Ours();
    ours.pool.observe({ phase: hear });
    return ours;
  },
  'an observer of lends and returns': () => {
    const ours = new Ours();
    ours.pool.observe({ lent: hear, returned: hear });
    return ours;
  },
} satisfies Record<string, () => Ours | Promise<Ours>>;

export type Name = keyof typeof CONTESTANTS;

export function isName(name: string | undefined): name is Name {
  return name !== undefined && name in CONTESTANTS;
}

export const NAMES: readonly Name[] = Object.keys(CONTESTANTS).filter(isName);

export async function make(name: Name): Promise<Ours> {
  return CONTESTANTS[name]();
}
