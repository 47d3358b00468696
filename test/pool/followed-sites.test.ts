// A place that is read where a promise is awaited: V8 follows promises to whoever awaits them, and other engines do not.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { LeaseRecord } from '../../src/contracts/ledger.ts';
import { CallSites, follow } from '../../src/diagnosis/call-sites.ts';

function noted(...frames: string[]): Pick<LeaseRecord, 'origin'> {
  const origin = new Error();
  origin.stack = ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');
  return { origin };
}

test('where only a library is on the stack of who asked, the site is where its promise is awaited', async () => {
  const sites = new CallSites('always');
  const lease = noted('f (/srv/app/node_modules/orm/index.js:3:4)');
  const library = async (): Promise<void> => {
    await Promise.resolve().then(() => follow(lease));
  };
  const user = async (): Promise<void> => {
    await library();
  };
  assert.equal(sites.site(lease), '/srv/app/node_modules/orm/index.js:3');
  await user();
  assert.match(sites.site(lease) ?? '', /followed-sites\.test\.[jt]s:\d+$/);
  assert.equal(sites.site({ origin: sites.plain(lease) }), sites.site(lease), 'also in the form that is kept for long');
});
