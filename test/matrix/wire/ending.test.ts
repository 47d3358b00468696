// One half of the driver's matrix: what ends a statement or a connection: reply, cancel, gone. How it is played: play.ts.

import { playHalf } from './play.ts';

await playHalf('ending');
