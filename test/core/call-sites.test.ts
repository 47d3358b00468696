// How many call sites are noted, and which line of a stack is the user's.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { LeaseRecord } from '../../src/contracts/ledger.ts';
import { CallSites, follow, siteOf } from '../../src/diagnosis/call-sites.ts';

function notes(sites: CallSites, requests: number, now: number): number {
  return Array.from({ length: requests }, () => sites.asked(0, now)).filter((note) => note !== undefined).length;
}

test('in auto at most 256 notes are taken at once, and one each ten milliseconds after that', () => {
  const sites = new CallSites('auto');
  assert.equal(notes(sites, 1_000, 5_000), 256);
  assert.ok(sites.silentUntil > 5_000, 'and it says so');
  assert.equal(notes(sites, 10, 5_009), 0);
  assert.equal(notes(sites, 10, 5_010), 1);
  assert.equal(notes(sites, 1_000, 5_510), 50);
  assert.equal(notes(sites, 1_000, 1_000_000), 256, 'what was not used adds up to that and no further');
});

test('always is never silent, never is always', () => {
  assert.equal(notes(new CallSites('always'), 1_000, 5_000), 1_000);
  assert.equal(notes(new CallSites('never'), 1_000, 5_000), 0);
});

test('where few are lent one lease in sixteen is noted, where many are each', () => {
  for (const [crowded, expected] of [
    [false, 10],
    [true, 160],
  ] as const) {
    const sites = new CallSites('auto');
    const records = Array.from(
      { length: 160 },
      (_, id): LeaseRecord => ({ id, label: undefined, since: 0, origin: undefined, task: undefined }),
    );
    for (const record of records) sites.lent(record, crowded, 5_000, false);
    assert.equal(records.filter(({ origin }) => origin !== undefined).length, expected);
  }
});

test('the first frame outside of Node, this package and other packages is the site, in whatever form it is written', () => {
  for (const [frame, site] of [
    ['    at report (/srv/app/report.js:88:13)', '/srv/app/report.js:88'],
    ['    at file:///srv/app/report.js:88:13', '/srv/app/report.js:88'],
    ['    at async file:///srv/app/report.js:88:13', '/srv/app/report.js:88'],
    ['    at async Reports.monthly (file:///srv/app/report.js:88:13)', '/srv/app/report.js:88'],
    ['    at new Report (/srv/app/report.js:88:13)', '/srv/app/report.js:88'],
    ['    at Reports.each [as forEach] (/srv/app/report.js:88:13)', '/srv/app/report.js:88'],
    ['    at Object.<anonymous> (/srv/my app/report.js:88:13)', '/srv/my app/report.js:88'],
    ['    at file:///srv/my%20app/report.js:88:13', '/srv/my app/report.js:88'],
    ['    at /srv/my app/report.js:88:13', '/srv/my app/report.js:88'],
    ['    at Page (/srv/app/(board)/page.js:88:13)', '/srv/app/(board)/page.js:88'],
    ['    at Reports.each [as forEach] (C:\\Users\\Ann Lee\\report.js:88:13)', 'C:\\Users\\Ann Lee\\report.js:88'],
  ] as const) {
    const stack = `Error\n    at next (node:internal/x:1:2)\n    at f (/srv/app/node_modules/orm/index.js:3:4)\n${frame}`;
    assert.equal(siteOf(stack), site, frame);
  }
});

test('a frame that names no file is passed over', () => {
  for (const frame of [
    '    at Array.map (<anonymous>)',
    '    at async Promise.all (index 0)',
    '    at eval (eval at <anonymous> (/srv/app/a.js:1:1), <anonymous>:1:1)',
    '    at native',
  ]) {
    assert.equal(siteOf(`Error\n${frame}\n    at f (/srv/app/b.js:2:2)`), '/srv/app/b.js:2', frame);
  }
});

/** A lease whose note has these frames. */
function noted(...frames: string[]): Pick<LeaseRecord, 'origin'> {
  const origin = new Error();
  origin.stack = ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');
  return { origin };
}

test('the user on the stack of who asked is named before whoever awaits him', () => {
  const lease = noted('f (/srv/app/node_modules/orm/index.js:3:4)', 'report (/srv/app/report.js:88:13)');
  follow(lease);
  assert.equal(new CallSites('always').site(lease), '/srv/app/report.js:88');
});

test('what was not noted is not followed', () => {
  const lease: Pick<LeaseRecord, 'origin'> = { origin: undefined };
  follow(lease);
  assert.equal(lease.origin, undefined);
});
