// What Drizzle gives on a pool, in all its ways to ask: it brings type parsers of its own with each query. In JavaScript, for its
// declarations do not stand up to a compiler that reads them.

import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { date, jsonb, numeric, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core';

const items = pgTable('items', {
  id: serial('id').primaryKey(),
  name: text('name').notNull(),
  made: timestamp('made', { withTimezone: true }).notNull(),
  day: date('day'),
  price: numeric('price'),
  more: jsonb('more'),
  tags: text('tags').array(),
});

export const TABLE = `create table items (id serial primary key, name text not null, made timestamptz not null, day date,
  price numeric, more jsonb, tags text[])`;

/** Each answer, as often as it takes to have texts prepared. */
export async function answers(pool) {
  const db = drizzle(pool);
  const byName = db
    .select()
    .from(items)
    .where(eq(items.id, sql.placeholder('id')))
    .prepare('by_id');
  const told = [];
  await db.execute(sql`truncate items restart identity`);
  for (let run = 0; run < 8; run += 1) {
    const made = new Date(1_709_164_799_999 + run);
    const row = { name: `n${run}`, made, day: '2024-02-29', price: '1.50', more: { run }, tags: ['a', '"b"'] };
    told.push(await db.insert(items).values(row).returning());
    told.push(
      await db
        .select()
        .from(items)
        .where(eq(items.id, run + 1)),
    );
    told.push(await db.select({ name: items.name, made: items.made }).from(items).orderBy(items.id));
    told.push(await byName.execute({ id: run + 1 }));
    const raw = await db.execute(sql`select id, made, day, ${run}::int as run from items order by id`);
    told.push(raw.rows, raw.rowCount);
    told.push(
      await db.transaction(async (tx) => {
        await tx
          .update(items)
          .set({ price: null })
          .where(eq(items.id, run + 1));
        return tx.select().from(items).orderBy(items.id);
      }),
    );
  }
  return told;
}
