// One line of the books: two sums of named figures and how they must compare. Pure; it decides nothing but whether it holds.

export type Side = Readonly<Record<string, number>>;
export type Relation = '=' | '≤' | '≥';

export interface Equation {
  readonly subject: string;
  /** With all its figures: `opened 34 = retired 21 + lost 13`. */
  readonly text: string;
  readonly holds: boolean;
}

export function equation(subject: string, left: Side, relation: Relation, right: Side): Equation {
  const [l, r] = [sum(left), sum(right)];
  const holds = relation === '=' ? l === r : relation === '≤' ? l <= r : l >= r;
  return { subject, text: `${written(left)} ${relation} ${written(right)}`, holds };
}

export function sum(side: Side): number {
  return Object.values(side).reduce((total, value) => total + value, 0);
}

function written(side: Side): string {
  const terms = Object.entries(side).map(([name, value]) => (name === '' ? String(value) : `${name} ${value}`));
  return terms.join(' + ');
}
