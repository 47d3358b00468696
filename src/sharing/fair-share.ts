// How a limit is divided among those who share it: a pure function, the same for threads and for a fleet. Knows no pool, no time, no
// transport.

/** What one member of a budget asks for. */
export interface Claim {
  /** How many permits it could use now, those it has included. */
  readonly demand: number;
  /** How many it is promised, as far as it asks for them. Default 0. */
  readonly floor?: number | undefined;
}

/**
 * The share of each claim, in their order. Nobody gets more than it asks for, and nothing is left over that somebody asks for. First
 * everybody gets its floor (if the limit is too small for all floors, they are what is divided evenly); then whoever has least gets more,
 * until there is no more or nobody wants more. What cannot be divided evenly goes to those who stand first: the caller puts those first
 * who have gone without for longest (max-min fairness, as in Bertsekas and Gallager, Data Networks, 6.5.2).
 */
export function fairShares(limit: number, claims: readonly Claim[]): number[] {
  const floors = claims.map(({ demand, floor = 0 }) => Math.min(demand, floor));
  const demands = claims.map(({ demand }) => demand);
  const promised = floors.reduce((sum, floor) => sum + floor, 0);
  return promised > limit
    ? filled(
        limit,
        floors,
        floors.map(() => 0),
      )
    : filled(limit, demands, floors);
}

/** Each at least its `base`, at most its `demand`, and as even as can be. */
function filled(limit: number, demands: readonly number[], bases: readonly number[]): number[] {
  const at = (level: number): number[] =>
    demands.map((demand, index) => Math.min(demand, Math.max(bases[index] ?? 0, level)));
  const sum = (shares: readonly number[]): number => shares.reduce((total, share) => total + share, 0);
  const most = Math.min(limit, Math.max(0, ...demands));
  let level = 0;
  let above = most + 1;
  // The highest level at which the limit still does for all.
  while (above - level > 1) {
    const middle = Math.floor((level + above) / 2);
    if (sum(at(middle)) <= limit) level = middle;
    else above = middle;
  }
  const shares = at(level);
  let left = limit - sum(shares);
  for (const [index, share] of shares.entries()) {
    if (left === 0) break;
    // Whoever is above the level has its floor, and is not the one who has least.
    if (share !== level || share >= (demands[index] ?? 0)) continue;
    shares[index] = share + 1;
    left -= 1;
  }
  return shares;
}
