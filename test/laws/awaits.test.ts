// The registry of waits. In the core and in the driver every `await` is one of three: a registered step by its literal name; a
// method of the same layer, which this law looks at too; one of the few named here with their reasons. Callbacks on promises
// (`then` and its kin) are waits as well. So the matrix suite, whose axes are the registry, leaves no wait untried.

import assert from 'node:assert/strict';
import test from 'node:test';
import { STEPS } from '../../src/core/steps.ts';
import { PG_STEPS } from '../../src/pg/steps.ts';
import { child, dotted, list, placeOf, program, type SyntaxNode, text, walk } from './code.ts';
import { type SourceFile, shipped } from './tree.ts';

interface Registry {
  readonly names: readonly string[];
  /** `path what` of each wait that is allowed without a step, and why. */
  readonly allowed: Readonly<Record<string, string>>;
}

const CORE: Registry = {
  names: Object.keys(STEPS),
  allowed: {
    'dist/core/steps.js then': 'the step itself',
    'dist/core/operator.js then': 'the report of trim, on a promise of its own that slotGone settles',
    'dist/core/opener.js catch': "the user's onReconnectFailed: nobody waits for it, what it throws is reported",
  },
};

const PG: Registry = {
  names: Object.keys(PG_STEPS),
  allowed: {
    'dist/pg/canceller.js finally': 'tidies up after #settle, whose waits are steps',
    'dist/pg/canceller.js catch': 'a reply that nobody waits for any more, once the cancel has failed',
    'dist/pg/canceller.js then':
      'what follows a cancel under way, and the bound on a reply, itself waited for as a step',
  },
};

/** `steps.step(...)`, `step(...)`, and a private method that passes its own first parameter on to one of them. */
function forwardersOf(tree: SyntaxNode): Set<string> {
  const found = new Set<string>();
  walk(tree, (node, around) => {
    if (!isStep(node)) return;
    const given = text(list(node, 'arguments')[0], 'name');
    const method = around.findLast(({ type }) => type === 'MethodDefinition');
    const first = text(list(child(method, 'value'), 'params')[0], 'name');
    if (given !== undefined && given === first) found.add(`this.${dotted(child(method, 'key')) ?? ''}`);
  });
  return found;
}

function isStep(node: SyntaxNode): boolean {
  return node.type === 'CallExpression' && /(?:^|\.)step$/.test(dotted(child(node, 'callee')) ?? '');
}

/** The names of the async methods. */
function asyncMethodsOf(tree: SyntaxNode): Set<string> {
  const found = new Set<string>();
  walk(tree, (node) => {
    if (node.type === 'MethodDefinition' && child(node, 'value')?.async === true)
      found.add(dotted(child(node, 'key')) ?? '');
  });
  return found;
}

/** The method that is called on this object, or through the house on a part of the same layer; undefined for anything else. */
function methodCalled(callee: string): { readonly name: string; readonly own: boolean } | undefined {
  const own = /^this\.(#?\w+)$/.exec(callee)?.[1];
  if (own !== undefined) return { name: own, own: true };
  const other = /^(?:this\.#)?house\.(\w+)$/.exec(callee)?.[1];
  return other === undefined ? undefined : { name: other, own: false };
}

interface Findings {
  readonly faults: string[];
  readonly used: Set<string>;
  readonly allowances: Set<string>;
}

function waits(files: readonly SourceFile[], registry: Registry): Findings {
  const findings: Findings = { faults: [], used: new Set(), allowances: new Set() };
  const layer = new Set(files.flatMap((file) => [...asyncMethodsOf(program(file))]));
  for (const file of files) {
    const tree = program(file);
    const forwarders = forwardersOf(tree);
    const methods = asyncMethodsOf(tree);
    const unregistered = (node: SyntaxNode, what: string): void => {
      const key = `${file.path} ${what}`;
      if (Object.hasOwn(registry.allowed, key)) findings.allowances.add(key);
      else findings.faults.push(`${placeOf(file, node)}: ${what} is no registered step`);
    };
    walk(tree, (node, around) => {
      const callee = dotted(child(node, 'callee')) ?? '';
      if (isStep(node) || (node.type === 'CallExpression' && forwarders.has(callee))) {
        const first = list(node, 'arguments')[0];
        const name = text(first, 'value');
        const method = around.findLast(({ type }) => type === 'MethodDefinition');
        const forwards = first?.type === 'Identifier' && forwarders.has(`this.${dotted(child(method, 'key')) ?? ''}`);
        if (name === undefined) {
          if (!forwards) findings.faults.push(`${placeOf(file, node)}: a step without a literal name`);
        } else if (registry.names.includes(name)) findings.used.add(name);
        else findings.faults.push(`${placeOf(file, node)}: no step is called "${name}"`);
      }
      if (node.type === 'ForOfStatement' && node.await === true) unregistered(node, 'for await');
      if (node.type === 'AwaitExpression') {
        const waited = child(node, 'argument');
        const called = dotted(child(waited, 'callee')) ?? '';
        const method = methodCalled(called);
        const looked = method !== undefined && (method.own ? methods : layer).has(method.name);
        const known = waited !== undefined && (isStep(waited) || forwarders.has(called) || looked);
        if (!known) unregistered(node, `await ${called}`.trimEnd());
      }
      const member = node.type === 'CallExpression' ? child(node, 'callee') : undefined;
      const property = text(child(member, 'property'), 'name') ?? '';
      if (member?.type === 'MemberExpression' && ['then', 'catch', 'finally'].includes(property)) {
        unregistered(node, property);
      }
    });
  }
  return findings;
}

for (const [layer, registry] of Object.entries({ core: CORE, pg: PG })) {
  test(`every wait in ${layer} is a registered step, and every registered step is used`, () => {
    const files = shipped(layer);
    assert.ok(files.length > 5, 'the build is there');
    const { faults, used, allowances } = waits(files, registry);
    assert.deepEqual(faults, []);
    assert.deepEqual([...used].sort(), [...registry.names].sort());
    assert.deepEqual([...allowances].sort(), Object.keys(registry.allowed).sort(), 'no exception outlives its use');
  });
}

test('the law of waits sees an unregistered await, callback, loop and name', () => {
  const { faults, used } = waits(
    [
      {
        path: 'dist/core/a.js',
        text: `class A {
          async #do(name, work) { return (await this.steps.step(name, work)).value; }
          async #other(name, step) { await this.steps.step(step, name); }
          async run() {
            await this.#do('open', () => 1);
            await this.steps.step('ping', () => 1);
            await this.run();
            await house.run();
            await house.absent();
            await this.#do('nonsense', () => 1);
            await session.rollback();
            await promise;
            for await (const x of list) x();
            session.end().then(() => 1);
          }
        }`,
      },
    ],
    { names: ['open', 'ping'], allowed: {} },
  );
  assert.deepEqual([...used], ['open', 'ping']);
  assert.deepEqual(faults, [
    'dist/core/a.js:3: a step without a literal name',
    'dist/core/a.js:9: await house.absent is no registered step',
    'dist/core/a.js:10: no step is called "nonsense"',
    'dist/core/a.js:11: await session.rollback is no registered step',
    'dist/core/a.js:12: await is no registered step',
    'dist/core/a.js:13: for await is no registered step',
    'dist/core/a.js:14: then is no registered step',
  ]);
});

test('an exception for a wait that is no longer there is noticed', () => {
  const { allowances } = waits([{ path: 'dist/core/a.js', text: '' }], {
    names: [],
    allowed: { 'dist/core/a.js then': 'x' },
  });
  assert.deepEqual([...allowances], []);
});
