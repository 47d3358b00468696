// Where reports go: the user's logger, or a process warning once per call site. Owns which of them were said already.

import type { Logger } from '../contracts/options.ts';
import type { Report, Reporter } from '../contracts/reporter.ts';

export class Warnings implements Reporter {
  readonly #logger: Logger | undefined;
  readonly #said = new Set<string>();

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  report(report: Report): void {
    const { code, message, site, error } = report;
    try {
      if (this.#logger !== undefined) {
        this.#logger.warn({ code, site, err: error }, message);
        return;
      }
    } catch {
      // Whoever reports is in the middle of something; what the logger could not take, the process is told.
    }
    const once = `${code} ${site ?? ''}${report.sequel === true ? ' sequel' : ''}`;
    if (this.#said.has(once)) return;
    this.#said.add(once);
    process.emitWarning(message, { type: 'OxbowWarning', code });
  }
}
