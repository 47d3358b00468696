// Whether a link of a document leads to a test: its target is a file of tests, its title the name of one in it. Knows no document.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { read, root } from '../laws/tree.ts';
import type { Link } from './links.ts';

/** What is missing at a link to a test: the file, or a test of that very name in it. */
export function unproven({ target, title }: Omit<Link, 'text'>): string | undefined {
  if (!/^test\/.*\.test\.ts$/.test(target) || !existsSync(join(root, target))) return `${target} is no test`;
  if (title === undefined) return `a link to ${target} names no test`;
  const quoted = [`'${title.replaceAll("'", "\\'")}'`, `"${title}"`, `\`${title}\``];
  const text = read(target);
  const found = quoted.some(
    (name) => text.includes(` test(${name}`) || text.includes(`\ntest(${name}`) || text.includes(` it(${name}`),
  );
  return found ? undefined : `no test in ${target} is called "${title}"`;
}
