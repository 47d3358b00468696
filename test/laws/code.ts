// Reading JavaScript for the laws: a syntax tree and a walk over it. Compiled files are read, since nothing on Node 20 parses
// TypeScript; what only types say is read as text by the law that needs it.

import { parse } from 'acorn';
import type { SourceFile } from './tree.ts';

export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string';
}

export function program(file: SourceFile): SyntaxNode {
  const tree: unknown = parse(file.text, { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true });
  if (!isNode(tree)) throw new Error(`${file.path} cannot be read`);
  return tree;
}

/** A child that is a node, or undefined. */
export function child(node: SyntaxNode | undefined, key: string): SyntaxNode | undefined {
  const value = node?.[key];
  return isNode(value) ? value : undefined;
}

/** The children under a key that holds a list. */
export function list(node: SyntaxNode | undefined, key: string): readonly SyntaxNode[] {
  const value = node?.[key];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function text(node: SyntaxNode | undefined, key: string): string | undefined {
  const value = node?.[key];
  return typeof value === 'string' ? value : undefined;
}

/** Calls `visit` for each node, outermost first, with those that enclose it, innermost last. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, around: readonly SyntaxNode[]) => void,
  around: readonly SyntaxNode[] = [],
): void {
  visit(node, around);
  const inner = [...around, node];
  for (const value of Object.values(node)) {
    if (isNode(value)) walk(value, visit, inner);
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) walk(item, visit, inner);
  }
}

/** `a.b` for a member of a plain name, `this.#b` and `x.y.b` likewise; undefined for anything computed. */
export function dotted(node: SyntaxNode | undefined): string | undefined {
  if (node === undefined) return undefined;
  if (node.type === 'Identifier') return text(node, 'name');
  if (node.type === 'PrivateIdentifier') return `#${text(node, 'name') ?? ''}`;
  if (node.type === 'ThisExpression') return 'this';
  if (node.type === 'ChainExpression') return dotted(child(node, 'expression'));
  if (node.type !== 'MemberExpression' || node.computed === true) return undefined;
  const object = dotted(child(node, 'object'));
  const property = dotted(child(node, 'property'));
  return object === undefined || property === undefined ? undefined : `${object}.${property}`;
}

/** `path:line` of a node. */
export function placeOf(file: SourceFile, node: SyntaxNode): string {
  return `${file.path}:${file.text.slice(0, node.start).split('\n').length}`;
}

/** TypeScript with comments and the insides of strings blanked; lines stay where they were. */
export function withoutProse(source: string): string {
  return source.replaceAll(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g,
    (prose) => prose.replaceAll(/[^\n]/g, ' '),
  );
}
