// What the network does to a pool, in the words of the fault proxy. Owns that each fault ends by itself, except those that no real
// network takes back: what was lost stays lost. Runs beside the proxy, in its thread.

import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultProxy } from '../../src/doors/testing.ts';

/** Drawn by the one who asks, so that the same seed does the same. */
export interface Draw {
  /** From 0 to below 1: which connection. */
  readonly which: number;
  readonly ms: number;
  readonly bytes: number;
  readonly way: 'toServer' | 'toClient';
}

type Proxied = FaultProxy['connections'][number];
type NetworkFault = (proxy: FaultProxy, draw: Draw) => Promise<void>;

/** So long after its client is gone a server would learn of it by its own keep-alive. */
const SERVER_NOTICES_MS = 300;

function sessions(proxy: FaultProxy): readonly Proxied[] {
  return proxy.connections.filter(({ open, kind }) => open && kind === 'session');
}

async function toOne(proxy: FaultProxy, { which }: Draw, fault: (one: Proxied) => Promise<void>): Promise<void> {
  const all = sessions(proxy);
  const one = all[Math.floor(which * all.length)];
  if (one !== undefined) await fault(one);
}

/** Not waited for: its client may never notice. */
function cutWhenLeft(proxy: FaultProxy, one: Proxied): void {
  proxy
    .until(() => !one.open)
    .then(() => sleep(SERVER_NOTICES_MS, undefined, { ref: false }))
    .then(() => one.cut())
    .catch(() => {});
}

export const NETWORK_FAULTS = {
  'cut one': (proxy, draw) => toOne(proxy, draw, (one) => one.cut()),
  'cut all': async (proxy) => {
    await Promise.all(sessions(proxy).map((one) => one.cut()));
  },
  'reset one': (proxy, draw) => toOne(proxy, draw, (one) => one.reset()),
  'reset in mid-reply': (proxy, draw) =>
    toOne(proxy, draw, async (one) => {
      await Promise.race([one.stallAfter(draw.bytes, 'toClient'), sleep(draw.ms)]);
      await one.reset();
    }),
  'stall one': (proxy, draw) =>
    toOne(proxy, draw, async (one) => {
      await one.stall();
      await sleep(draw.ms);
      await one.resume();
    }),
  'stall all': async (proxy, draw) => {
    await proxy.stall();
    await sleep(draw.ms);
    await proxy.resume();
  },
  'drop one silently': (proxy, draw) =>
    toOne(proxy, draw, async (one) => {
      await one.drop();
      cutWhenLeft(proxy, one);
    }),
  'mute one direction': (proxy, draw) =>
    toOne(proxy, draw, async (one) => {
      await one.drop(draw.way);
      cutWhenLeft(proxy, one);
    }),
  'half-open': (proxy, draw) =>
    toOne(proxy, draw, async (one) => {
      await one.halfOpen();
      await one.halfClose('toServer');
      cutWhenLeft(proxy, one);
    }),
  'hang closes': async (proxy) => {
    await Promise.all(sessions(proxy).map((one) => one.hangClose()));
  },
  'refuse connects': async (proxy, draw) => {
    await proxy.refuse();
    await sleep(draw.ms);
    await proxy.serve();
  },
  'refuse connects and cut all': async (proxy, draw) => {
    await proxy.refuse();
    await Promise.all(sessions(proxy).map((one) => one.cut()));
    await sleep(draw.ms);
    await proxy.serve();
  },
  'hang connects': async (proxy, draw) => {
    await proxy.deaf();
    await sleep(draw.ms);
    await proxy.serve();
  },
  'delay cancels': async (proxy, draw) => {
    await proxy.lateCancel(draw.ms);
    await sleep(2 * draw.ms);
    await proxy.lateCancel(0);
  },
} satisfies Record<string, NetworkFault>;

export type NetworkFaultName = keyof typeof NETWORK_FAULTS;
