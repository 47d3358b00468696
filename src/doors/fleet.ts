// `oxbow/fleet`: one limit for any number of processes and machines.

export type { Budget } from '../contracts/permits.ts';
export { type PostgresBudgetOptions, postgresBudget } from '../sharing/postgres-budget.ts';
