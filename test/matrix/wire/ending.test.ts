// One half of the driver's matrix: what ends a statement or a connection: reply, cancel, gone. How it is played: play.ts.

import test from 'node:test';
import { playHalf } from './play.ts';

const playedAll = await playHalf('ending');

test('exactly the product of the axes was played on the wire', playedAll);
