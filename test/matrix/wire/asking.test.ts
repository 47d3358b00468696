// One half of the driver's matrix: what leads to an answer: settings, connect, pooler, query. How it is played: play.ts.

import { playHalf } from './play.ts';

await playHalf('asking');
