// The text exposition format 0.0.4, read strictly: whatever a scraper might stumble over is an error here. Knows no metric.

import assert from 'node:assert/strict';

/** By name and labels, the labels sorted: `name{a="1",b="2"}`. */
export type SeriesRead = ReadonlyMap<string, number>;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const PARTS: Readonly<Record<string, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
};

function labelsOf(inside: string, line: string): [string, string][] {
  const labels: [string, string][] = [];
  const pattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/y;
  while (pattern.lastIndex < inside.length) {
    const [, name = '', value = ''] = pattern.exec(inside) ?? assert.fail(`labels of ${line}`);
    labels.push([name, value]);
  }
  assert.equal(new Set(labels.map(([name]) => name)).size, labels.length, `a label twice: ${line}`);
  return labels.sort(([one], [other]) => (one < other ? -1 : 1));
}

/** A histogram's buckets rise, and end with all there are. */
function checkBuckets(found: SeriesRead): void {
  const last = new Map<string, { le: number; value: number }>();
  for (const [key, value] of found) {
    const le = /le="([^"]+)"/.exec(key)?.[1];
    if (le === undefined) continue;
    const rest = key.replace(/,?le="[^"]+"/, '').replace('{,', '{');
    const bound = le === '+Inf' ? Infinity : Number(le);
    const before = last.get(rest);
    assert.ok(before === undefined || (bound > before.le && value >= before.value), `buckets of ${rest}`);
    last.set(rest, { le: bound, value });
  }
  for (const [rest, { le, value }] of last) {
    assert.equal(le, Infinity, rest);
    assert.equal(found.get(rest.replace('_bucket{', '_count{')), value, rest);
  }
}

export function readText(text: string): SeriesRead {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const found = new Map<string, number>();
  const families = new Map<string, string>();
  let helped = '';
  let family = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, what, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (what === 'HELP') {
      assert.match(name, NAME);
      assert.ok(rest !== '' && !families.has(name), line);
      helped = name;
    } else if (what === 'TYPE') {
      assert.equal(name, helped, 'help stands before the type');
      assert.ok(rest in PARTS, line);
      families.set(name, rest);
      family = name;
    } else {
      const [, series = '', inside = '', value = ''] =
        /^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)$/.exec(line) ?? assert.fail(`no series: ${line}`);
      const parts = PARTS[families.get(family) ?? ''] ?? [];
      assert.ok(parts.map((part) => family + part).includes(series), `${series} is no part of ${family}`);
      const labels = labelsOf(inside, line).map(([label, said]) => `${label}="${said}"`);
      const key = `${series}{${labels.join(',')}}`;
      assert.ok(!found.has(key), `twice: ${key}`);
      assert.ok(Number.isFinite(Number(value)), line);
      found.set(key, Number(value));
    }
  }
  checkBuckets(found);
  return found;
}
