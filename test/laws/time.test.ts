// Time and chance come from the clock that was passed in. This law keeps the machine's own out of the pool, and real time out of
// the suites that run on the virtual clock.

import assert from 'node:assert/strict';
import test from 'node:test';
import { child, dotted, list, placeOf, program, type SyntaxNode, text, walk } from './code.ts';
import { compiledTests, type SourceFile, shipped } from './tree.ts';

const GLOBALS = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'crypto',
]);

/** No time passes in these: a test may use them to say what comes before what. `queueMicrotask` is free to all. */
const TURNS = ['process.nextTick'];

const MEMBERS = new Set([
  'Math.random',
  'process.nextTick',
  'process.hrtime',
  'process.hrtime.bigint',
  'process.uptime',
  'AbortSignal.timeout',
]);

const MODULES = new Set(['timers', 'timers/promises', 'perf_hooks']);

/** Whether this name stands for a value, and is not a key, a member's name or a label. */
function isReference(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  if (parent === undefined) return true;
  // With an argument it is a moment that was given, not the present one.
  if (parent.type === 'NewExpression') return list(parent, 'arguments').length === 0;
  // Counted from what it is given.
  if (dotted(parent) === 'Date.UTC') return false;
  if (parent.type === 'MemberExpression') return parent.object === node || parent.computed === true;
  if (parent.type === 'Property') return parent.value === node || parent.computed === true;
  return parent.type !== 'PropertyDefinition' && parent.type !== 'MethodDefinition';
}

function realTime(files: readonly SourceFile[], harmless: readonly string[] = []): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    walk(program(file), (node, around) => {
      const parent = around.at(-1);
      const name = node.type === 'Identifier' ? text(node, 'name') : undefined;
      if (name !== undefined && GLOBALS.has(name) && !harmless.includes(name) && isReference(node, parent))
        found.push(`${placeOf(file, node)}: ${name}`);
      if (node.type === 'MemberExpression') {
        const path = dotted(node) ?? '';
        if (MEMBERS.has(path) && !harmless.includes(path)) found.push(`${placeOf(file, node)}: ${path}`);
        if (/^(?:globalThis|global)\./.test(path) && GLOBALS.has(path.split('.')[1] ?? '')) {
          found.push(`${placeOf(file, node)}: ${path}`);
        }
      }
      const module = text(child(node, 'source'), 'value')?.replace(/^node:/, '');
      if (module !== undefined && MODULES.has(module)) found.push(`${placeOf(file, node)}: ${module}`);
    });
    return found;
  });
}

const layers = ['contracts', 'foundation', 'core', 'pg', 'diagnosis', 'telemetry', 'sharing', 'pool', 'doors'];

test('the pool touches the clock, the timers and the chance of the machine in one file only', () => {
  const files = layers.flatMap((layer) => shipped(layer));
  assert.ok(files.length > 40, 'the build is there');
  assert.deepEqual(realTime(files.filter(({ path }) => path !== 'dist/foundation/system-clock.js')), []);
});

test('the suites of the virtual clock use no real time', () => {
  const suites = ['core', 'matrix', 'model', 'kit'].flatMap((suite) => compiledTests(suite));
  assert.ok(suites.length > 15, 'the build is there');
  assert.deepEqual(realTime(suites, TURNS), []);
});

test('the law of time sees each way to it, and takes a method of the same name for what it is', () => {
  const tree = [
    {
      path: 'dist/core/a.js',
      text: [
        "import { setTimeout as sleep } from 'node:timers/promises';",
        'const a = Date.now() + new Date() + Math.random();',
        'setTimeout(() => {}, 1); globalThis.setInterval(f);',
        'process.nextTick(f); const { now } = performance;',
        'clock.setTimeout(1); const own = { setTimeout: 1, Date() {} }; own.Date(); new Date(5);',
        'AbortSignal.timeout(5);',
      ].join('\n'),
    },
  ];
  assert.deepEqual(realTime(tree), [
    'dist/core/a.js:1: timers/promises',
    'dist/core/a.js:1: setTimeout',
    'dist/core/a.js:2: Date',
    'dist/core/a.js:2: Date',
    'dist/core/a.js:2: Math.random',
    'dist/core/a.js:3: setTimeout',
    'dist/core/a.js:3: globalThis.setInterval',
    'dist/core/a.js:4: process.nextTick',
    'dist/core/a.js:4: performance',
    'dist/core/a.js:6: AbortSignal.timeout',
  ]);
});
