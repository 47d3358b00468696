// Whether one word is a slip of the finger away from another. Pure; knows nothing of options.

/**
 * The Damerau-Levenshtein distance: how many letters have to be added, dropped, changed or swapped with their neighbour (other
 * changes may lie between the two) to make one word of the other. Lowrance and Wagner's algorithm.
 */
export function editDistance(a: string, b: string): number {
  const far = a.length + b.length;
  // Row and column 0 hold `far`, so that a swap with nothing is never the cheapest; the words begin at 1.
  const width = b.length + 2;
  const cost = new Array<number>((a.length + 2) * width).fill(far);
  const at = (i: number, j: number): number => cost[i * width + j] ?? far;
  for (let i = 0; i <= a.length; i += 1) cost[(i + 1) * width + 1] = i;
  for (let j = 0; j <= b.length; j += 1) cost[width + j + 1] = j;

  const lastRow = new Map<string, number>();
  for (let i = 1; i <= a.length; i += 1) {
    let lastColumn = 0;
    for (let j = 1; j <= b.length; j += 1) {
      const swapRow = lastRow.get(b.charAt(j - 1)) ?? 0;
      const swapColumn = lastColumn;
      const same = a.charAt(i - 1) === b.charAt(j - 1);
      if (same) lastColumn = j;
      cost[(i + 1) * width + j + 1] = Math.min(
        at(i, j) + (same ? 0 : 1),
        at(i + 1, j) + 1,
        at(i, j + 1) + 1,
        at(swapRow, swapColumn) + (i - swapRow - 1) + 1 + (j - swapColumn - 1),
      );
    }
    lastRow.set(a.charAt(i - 1), i);
  }
  return at(a.length + 1, b.length + 1);
}

/** Of `words`, those that are nearest to `word`, if they are at most `limit` away: none, one, or several equally near. */
export function nearest(word: string, words: Iterable<string>, limit: number): string[] {
  let best: string[] = [];
  let within = limit;
  for (const candidate of words) {
    if (Math.abs(candidate.length - word.length) > within) continue;
    const distance = editDistance(word, candidate);
    if (distance > within) continue;
    if (distance < within) best = [];
    best.push(candidate);
    within = distance;
  }
  return best;
}

/** What is expected where a name was not known, but nearly is one of `names`. */
export function didYouMean(names: readonly string[]): string {
  return `a known name (did you mean ${names.map((name) => `"${name}"`).join(' or ')}?)`;
}

/** Shorter words are too near to too many others. */
const SHORTEST_SLIP = 5;
const SLIP_DISTANCE = 2;

/** Of `names`, those that `word` is a likely slip of. */
export function slipOf(word: string, names: Iterable<string>): string[] {
  return word.length < SHORTEST_SLIP ? [] : nearest(word, names, SLIP_DISTANCE);
}
