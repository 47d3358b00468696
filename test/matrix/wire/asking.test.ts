// One half of the driver's matrix: what leads to an answer: settings, connect, pooler, query. How it is played: play.ts.

import test from 'node:test';
import { playHalf } from './play.ts';

const playedAll = await playHalf('asking');

test('exactly the product of the axes was played on the wire', playedAll);
