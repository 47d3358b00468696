// A load of transactions that each write one row, and the account of it: what was acknowledged must be there, and nothing else but what was
// reported as uncertain. Owns its borrowers; what is done to their connections meanwhile is the test's business.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { ConnectionLostError, type Pool } from '../../src/doors/index.ts';
import { eventually } from './harness.ts';

const BORROWERS = 8;

export class Ledger {
  readonly #pool: Pool;
  readonly #table: string;
  readonly #acknowledged = new Set<number>();
  readonly #uncertain = new Set<number>();
  readonly #borrowers: Promise<void>[];
  #next = 0;
  #stop = false;

  /** Begins at once. `table` has a column `n`, unique, and nothing in it; `look` is called after each transaction. */
  constructor(pool: Pool, table: string, look: () => void = () => {}) {
    this.#pool = pool;
    this.#table = table;
    this.#borrowers = Array.from({ length: BORROWERS }, async () => {
      while (!this.#stop) {
        await this.#write();
        look();
      }
    });
  }

  /** How many have been told that their connection was lost. */
  get lost(): number {
    return this.#uncertain.size;
  }

  get summary(): string {
    return `${this.#acknowledged.size} acknowledged, ${this.#uncertain.size} told that they were lost`;
  }

  /** Resolves when so many more have been acknowledged. */
  async more(count: number): Promise<void> {
    const before = this.#acknowledged.size;
    await eventually(`${count} more are acknowledged`, () => this.#acknowledged.size >= before + count);
  }

  /** Ends the load and compares with what `reader` finds in the table. */
  async settle(reader: pg.Client): Promise<void> {
    this.#stop = true;
    await Promise.all(this.#borrowers);
    const { rows } = await reader.query<{ n: number }>(`SELECT n FROM ${this.#table}`);
    const found = new Set(rows.map(({ n }) => n));
    assert.deepEqual(
      [...this.#acknowledged].filter((n) => !found.has(n)),
      [],
      'acknowledged, and not there',
    );
    assert.deepEqual(
      [...found].filter((n) => !this.#acknowledged.has(n) && !this.#uncertain.has(n)),
      [],
      'there, and neither acknowledged nor uncertain',
    );
  }

  #write(): Promise<void> {
    this.#next += 1;
    const n = this.#next;
    return this.#pool
      .transaction(async (tx) => {
        await tx.query(`INSERT INTO ${this.#table} VALUES ($1)`, [n]);
      })
      .then(
        () => void this.#acknowledged.add(n),
        (error: unknown) => {
          assert.ok(error instanceof ConnectionLostError, String(error));
          this.#uncertain.add(n);
        },
      );
  }
}
