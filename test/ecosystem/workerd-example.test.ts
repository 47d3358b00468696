// examples/workers, as its wrangler.toml describes it, in Cloudflare's own runtime.

import assert from 'node:assert/strict';
import nodeTest from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundle, startWorker, test } from '../kit/workerd.ts';
import { read } from '../laws/tree.ts';
import { backends, eventually, withClient, withServer } from '../postgres/harness.ts';

const server = await withServer(nodeTest, { url: false });
const admin = await withClient(nodeTest, server.config);

const wrangler = read('examples/workers/wrangler.toml');

function setting(name: string): string {
  const [, value] = new RegExp(`^${name} = "(.*)"$`, 'm').exec(wrangler) ?? assert.fail(`no ${name} in wrangler.toml`);
  return value ?? '';
}

test('the example for Workers answers many requests at once with at most max connections, and leaves none', async (t) => {
  assert.match(wrangler, /^compatibility_flags = \["nodejs_compat"\]$/m);
  const worker = await startWorker({
    text: await bundle(`examples/workers/${setting('main')}`),
    date: setting('compatibility_date'),
    bindings: { DATABASE_URL: server.url },
    objects: { COUNTER: setting('class_name') },
  });
  t.after(() => worker.stop());
  const answers = await Promise.all(Array.from({ length: 12 }, () => worker.get<{ pid: number }>('/')));
  assert.equal(new Set(answers.map(({ pid }) => pid)).size, 12);
  assert.deepEqual(await worker.get('/health'), { health: 'up' });
  await eventually('no backend is left', async () => (await backends(admin, 'example')) === 0);
  // A temporary table lives as long as its session.
  for (const visits of [1, 2, 3]) {
    assert.deepEqual(await worker.get('/visits'), { visits });
    await sleep(60);
  }
});

test('the example for Workers is the program of its recipe, where it is compiled', async () => {
  const recipe = read('docs/recipes/cloudflare-workers.md');
  assert.ok(recipe.includes(`\`\`\`ts file=worker.ts\n${read('examples/workers/worker.ts')}\`\`\``));
});
