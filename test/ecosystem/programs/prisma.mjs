// Prisma on the pool, through its driver adapter: interactive transactions that commit and that throw, a batch, and `$disconnect()`,
// which leaves the pool to whoever made it.

import assert from 'node:assert/strict';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '@prisma/client';
import { balances, close, lent, pool } from './kit.mjs';

const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });

await prisma.$transaction(async (tx) => {
  const pid = () => tx.$queryRaw`SELECT pg_backend_pid()`;
  const before = await pid();
  assert.equal(lent(), 1);
  await tx.account.create({ data: { balance: 1 } });
  await tx.account.create({ data: { balance: 2 } });
  assert.deepEqual(await pid(), before, 'one connection');
});
const fault = new Error('no');
await assert.rejects(
  prisma.$transaction(async (tx) => {
    await tx.account.updateMany({ data: { balance: 99 } });
    throw fault;
  }),
  fault,
);
assert.deepEqual(await balances(), [1, 2]);

await assert.rejects(
  prisma.$transaction([
    prisma.account.create({ data: { balance: 3 } }),
    prisma.account.create({ data: { id: 1, balance: 0 } }),
  ]),
  { code: 'P2002' },
);
assert.deepEqual(await prisma.account.findMany({ select: { balance: true }, orderBy: { id: 'asc' } }), [
  { balance: 1 },
  { balance: 2 },
]);

await prisma.$disconnect();
assert.equal((await balances()).length, 2, 'the pool goes on');
await close();
console.log('done');
