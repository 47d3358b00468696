// `driverConformance()`: the cases that every driver must pass to serve a pool. Owns which cases there are for the given options,
// and how each is run; it needs no test runner.

import type { Session } from '../contracts/driver.ts';
import { endingTrials } from './driver-conformance-ending.ts';
import { Bench, type ConformanceOptions, type MakeDriver } from './driver-conformance-kit.ts';
import { openingTrials, peerTrials } from './driver-conformance-opening.ts';
import { returningTrials, unreadTrials } from './driver-conformance-returning.ts';
import { statusTrials } from './driver-conformance-status.ts';

export type {
  ConformanceOptions,
  ConformancePeers,
  ConformanceStatements,
  MakeDriver,
} from './driver-conformance-kit.ts';

export interface ConformanceCase {
  /** A sentence about what a driver does. */
  readonly name: string;
  /** Rejects if the driver does not. Cases are run one after the other: they count sockets. */
  run(): Promise<void>;
}

/**
 * The cases that check whether a driver keeps the word of `Driver` and `Session`. Each makes a driver, opens sessions, and leaves
 * none. For any test runner:
 *
 *     for (const { name, run } of driverConformance(makeDriver, options)) test(name, run);
 */
export function driverConformance<S extends Session>(
  makeDriver: MakeDriver<S>,
  options: ConformanceOptions<S>,
): ConformanceCase[] {
  const { unread, peers = {} } = options;
  const trials = [
    ...openingTrials,
    ...peerTrials(peers),
    ...statusTrials,
    ...returningTrials,
    ...(unread === undefined ? [] : unreadTrials(unread.bind(options))),
    ...endingTrials,
  ];
  return trials.map(({ name, run }) => ({
    name,
    run: async () => {
      const bench = new Bench(await makeDriver(), options);
      try {
        await run(bench);
      } catch (error) {
        // What went wrong first is what is told.
        await bench.clear().catch(() => {});
        throw error;
      }
      await bench.clear();
    },
  }));
}
