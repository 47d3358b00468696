// Every probe there is, in the order in which they are played and shown.

import type { Probe } from './probe.ts';
import { around } from './probes-around.ts';
import { asking } from './probes-asking.ts';
import { borrowing } from './probes-borrowing.ts';
import { faults } from './probes-faults.ts';

export const PROBES: readonly Probe[] = [...borrowing, ...asking, ...faults, ...around];
