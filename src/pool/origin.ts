// What a pool was made from, for whoever has to compare pools or to say where they were made: kept behind a brand by which pools of
// other copies of this package are recognised. Owns the brand; knows no registry.

import type { Report, Reporter } from '../contracts/reporter.ts';
import type { Personality } from '../core/option-table.ts';
import { capture, siteOf } from '../diagnosis/call-sites.ts';

const BRAND = Symbol.for('oxbow.pool');

export interface Origin {
  /** Whose manners the pool has, and the name of its class. */
  readonly kind: string;
  /** The options as they were written, secrets included: to be compared, never to be shown. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Its key, if it is a `globalPool`. */
  key: string | undefined;
  /** `file:line` where it was made. */
  site(): string | undefined;
  /** Tells whoever the pool tells. */
  report(report: Report): void;
  /** The pool was made in vain: the number in its name is free again, if no later one was given. */
  unname(): void;
}

export interface Making {
  readonly given: Readonly<Record<string, unknown>>;
  readonly unname: () => void;
}

/** Behind a function, so that nobody who prints a pool sees a secret. */
export function brand(pool: object, { given, unname }: Making, personality: Personality, reporter: Reporter): Origin {
  const made = capture();
  const origin: Origin = {
    kind: `${personality} ${pool.constructor.name}`,
    given,
    key: undefined,
    site: () => siteOf(made.stack ?? ''),
    report: (report) => reporter.report(report),
    unname,
  };
  Object.defineProperty(pool, BRAND, { value: () => origin });
  return origin;
}

/** Undefined for what is no pool of this package, whichever copy of it. */
export function originOf(pool: unknown): Origin | undefined {
  if (typeof pool !== 'object' || pool === null) return undefined;
  const tell: unknown = Reflect.get(pool, BRAND);
  const origin: unknown = typeof tell === 'function' ? tell() : undefined;
  return isOrigin(origin) ? origin : undefined;
}

function isOrigin(value: unknown): value is Origin {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, given, site, report, unname } = value as Partial<Record<keyof Origin, unknown>>;
  if (typeof kind !== 'string' || typeof given !== 'object' || given === null) return false;
  return [site, report, unname].every((method) => typeof method === 'function');
}
