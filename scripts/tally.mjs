// What a run amounts to: counts, the names of what failed, and whether that is a success. Pure; a law tries it.

export const noTests = Object.freeze({ passed: 0, failed: 0, skipped: 0, failures: [] });

export function add(one, other) {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
    failures: [...one.failures, ...other.failures],
  };
}

/** Why the run is no success, or undefined. `skips`: how many must have been skipped; undefined if that is not known. */
export function judge(total, skips) {
  if (total.failed > 0) return `${total.failed} failed`;
  if (total.passed + total.skipped === 0) return 'no test was run';
  if (skips !== undefined && total.skipped !== skips) {
    return `${total.skipped} skipped, expected ${skips}: see SKIPS in scripts/test.mjs`;
  }
  return undefined;
}
