// The numbers that the README gives for what stands behind its promise, in both languages: computed from the lists that the suites play, so
// that a scene more or less cannot make them wrong. Knows nothing of how a case is played.

import assert from 'node:assert/strict';
import test from 'node:test';
import { read } from '../laws/tree.ts';
import * as engine from '../matrix/axes.ts';
import { SCENES as ENGINE_SCENES } from '../matrix/scenes.ts';
import * as wire from '../matrix/wire/axes.ts';
import { SCENES as WIRE_SCENES } from '../matrix/wire/scenes.ts';
import { lines } from '../peers/probes/lines.ts';

type Scenes = Readonly<Record<string, Readonly<Record<string, object>>>>;

function product(scenes: Scenes, axes: readonly (readonly unknown[])[]): number {
  const played = Object.values(scenes).reduce((all, ofStep) => all + Object.keys(ofStep).length, 0);
  return axes.reduce((all, axis) => all * axis.length, played);
}

const cases = [
  product(ENGINE_SCENES, [engine.BEHAVIOURS, engine.DISTURBANCES, engine.MOMENTS, engine.PLACES, engine.PORTS]),
  product(WIRE_SCENES, [wire.BEHAVIOURS, wire.DISTURBANCES, wire.MOMENTS, wire.PLACES]),
] as const;

const SAID = [
  {
    path: 'README.md',
    tens: ['', 'ten', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'],
    ofCases: /over (\w+) thousand cases on a virtual clock, and over (\w+) thousand of the driver's own waits/,
    ofProbes: /\b(\d+) probes, each run on the peer/,
  },
  {
    path: 'README.zh-CN.md',
    tens: ['', '一', '两', '三', '四', '五', '六', '七', '八', '九'],
    ofCases: /虚拟时钟上共(.)万余例；\n?驱动自身的等待，在内存中的线路上共(.)万余例/,
    ofProbes: /(\d+) 个探针/,
  },
] as const;

for (const { path, tens, ofCases, ofProbes } of SAID) {
  test(`${path} says, in tens of thousands, how many cases the two matrices play`, () => {
    const said = ofCases.exec(read(path))?.slice(1);
    assert.deepEqual(
      said,
      cases.map((n) => tens[Math.floor(n / 10_000)]),
      cases.join(' and '),
    );
  });

  test(`${path} says how many probes there are, and each is run on a peer`, () => {
    assert.equal(Number(ofProbes.exec(read(path))?.[1]), lines.length);
    for (const { number, theirs } of lines) assert.ok(Object.keys(theirs).length > 0, `probe ${number} has no peer`);
  });
}
