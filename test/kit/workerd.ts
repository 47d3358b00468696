// `test` for what needs Cloudflare's own runtime. Owns that its absence is a skipped test, and never in CI.

import nodeTest, { type TestContext } from 'node:test';
import { hasWorkerd } from './workerd-runtime.ts';

export { bundle, startWorker, type Worker } from './workerd-runtime.ts';

const found = hasWorkerd();

let told = false;

/** `test` of `node:test` where workerd runs. Elsewhere, but never in CI, a file's tests are one that is skipped: scripts/test.mjs expects so many. */
export function test(name: string, fn: (t: TestContext) => Promise<void>): void {
  if (found || process.env.CI === 'true') {
    nodeTest(name, fn);
  } else if (!told) {
    told = true;
    const skip =
      'workerd does not run here: its package has binaries for Linux, macOS and Windows, and `npm ci` installs them';
    nodeTest('every test of this file needs workerd', { skip }, () => {});
  }
}
