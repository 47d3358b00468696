// How a limit is divided: properties that hold for every division, and a few divisions written out.
//
//   FAIR_SEED=n     other cases

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Claim, fairShares } from '../../src/sharing/fair-share.ts';

const CASES = 4_000;
const seed = Number(process.env.FAIR_SEED ?? 20_261_128);
console.log(`seed ${seed}: ${CASES} divisions for each property`);

const claim = fc.record({ demand: fc.nat(12), floor: fc.option(fc.nat(6), { nil: undefined }) });
const limit = fc.nat(40);
const claims = fc.array(claim, { maxLength: 9 });

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);
const floorOf = ({ demand, floor = 0 }: Claim): number => Math.min(demand, floor);

function holds(what: string, property: (limit: number, claims: readonly Claim[], shares: number[]) => void): void {
  test(what, () => {
    const check = (most: number, asked: Claim[]): void => property(most, asked, fairShares(most, asked));
    fc.assert(fc.property(limit, claims, check), { seed, numRuns: CASES });
  });
}

holds('everything that is asked for and there is to have is given, and no more', (most, asked, shares) => {
  assert.equal(shares.length, asked.length);
  assert.equal(sum(shares), Math.min(most, sum(asked.map(({ demand }) => demand))));
});

holds('nobody gets more than it asks for, or less than nothing', (_, asked, shares) => {
  for (const [at, share] of shares.entries())
    assert.ok(Number.isInteger(share) && share >= 0 && share <= (asked[at]?.demand ?? 0), `${at}: ${share}`);
});

holds('floors are kept as long as the limit does for all of them', (most, asked, shares) => {
  const fit = sum(asked.map(floorOf)) <= most;
  for (const [at, one] of asked.entries()) {
    const share = shares[at] ?? 0;
    assert.ok(
      fit ? share >= floorOf(one) : share <= floorOf(one),
      `${at}: ${share} with floors that ${fit ? '' : 'do not '}fit`,
    );
  }
});

holds(
  'nobody who goes short has less than another, but for what cannot be divided and for floors',
  (most, asked, shares) => {
    const fit = sum(asked.map(floorOf)) <= most;
    for (const [at, one] of asked.entries()) {
      const share = shares[at] ?? 0;
      if (share >= (fit ? one.demand : floorOf(one))) continue;
      for (const [by, other] of asked.entries()) {
        const theirs = shares[by] ?? 0;
        if (fit && theirs <= floorOf(other)) continue;
        assert.ok(theirs - 1 <= share, `${at} goes short with ${share}, ${by} has ${theirs}`);
      }
    }
  },
);

holds('of two who ask for the same the first gets no less, and at most one more', (_, asked, shares) => {
  for (const [at, one] of asked.entries())
    for (let by = at + 1; by < asked.length; by += 1) {
      if (asked[by]?.demand !== one.demand || (asked[by]?.floor ?? 0) !== (one.floor ?? 0)) continue;
      const more = (shares[at] ?? 0) - (shares[by] ?? 0);
      assert.ok(more === 0 || more === 1, `${at} has ${more} more than ${by}`);
    }
});

holds('a higher limit takes nothing from anybody', (most, asked, shares) => {
  const higher = fairShares(most + 1, asked);
  for (const [at, share] of shares.entries()) assert.ok((higher[at] ?? 0) >= share, `${at}: ${share} was more`);
});

test('what is left over goes to those who stand first', () => {
  const four = (...demands: number[]): number[] =>
    fairShares(
      6,
      demands.map((demand) => ({ demand })),
    );
  assert.deepEqual(four(8, 8, 8, 8), [2, 2, 1, 1]);
  assert.deepEqual(four(0, 8, 8, 8), [0, 2, 2, 2]);
  assert.deepEqual(four(1, 8, 8, 8), [1, 2, 2, 1]);
  assert.deepEqual(four(2, 1, 1, 1), [2, 1, 1, 1]);
  assert.deepEqual(four(), []);
});

test('a floor comes before an even division, and a floor that nobody asks for binds nothing', () => {
  assert.deepEqual(fairShares(6, [{ demand: 8 }, { demand: 8, floor: 4 }, { demand: 8 }]), [1, 4, 1]);
  assert.deepEqual(fairShares(6, [{ demand: 8 }, { demand: 1, floor: 4 }]), [5, 1]);
  assert.deepEqual(fairShares(3, [{ demand: 4, floor: 4 }, { demand: 9, floor: 3 }, { demand: 9 }]), [2, 1, 0]);
});
