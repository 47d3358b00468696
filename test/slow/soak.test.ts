// The soak for 20 seconds, as `npm run soak` runs it: in a process of its own, because it must also end by itself.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SOAK = fileURLToPath(new URL('../soak/main.js', import.meta.url));

test('20 s of mixed load, kills and refused connects leave every equation of the pool standing', {
  timeout: 150_000,
}, async () => {
  const { code, text } = await new Promise<{ code: number | null; text: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      [SOAK, '--seconds', '20'],
      { timeout: 120_000, maxBuffer: 16_000_000 },
      (_error, out, err) => resolve({ code: child.exitCode, text: `${out}\n${err}` }),
    );
  });
  assert.equal(code, 0, text);
  assert.match(text, /All equations hold\./);
  assert.equal(text.match(/ok {4}requests/g)?.length, 2, 'both pools have their books');
});
