// Nobody: answers at once, and rightly, without a server. What is left is what the callers' loop itself costs.

import { type Queries, type Row, STEP } from './workloads.ts';

type Rows = readonly Row[];

function no(): never {
  throw new Error('the echo only knows balances');
}

function balance(aid: number): Promise<Rows> {
  return Promise.resolve([{ abalance: aid % STEP }]);
}

export const ECHO: Queries<Rows> = {
  byKey: balance,
  byText: balance,
  select1: no,
  accounts: no,
  wide: no,
  insert: no,
  transfer: no,
  failing: no,
  sqlStateOf: no,
  rowsOf: (rows) => rows,
  countOf: (rows) => rows.length,
  end: () => Promise.resolve(),
};
