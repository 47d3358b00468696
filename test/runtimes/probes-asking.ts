// Probes: queries, what they are given and give back, and everything else that goes over one connection.

import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { rejection } from '../postgres/harness.ts';
import type { Probe } from './probe.ts';

const MANY = 20_000;

export const asking: readonly Probe[] = [
  {
    name: 'a query has its parameters, and its values come in their types',
    async run(stage) {
      const text = `SELECT $1::int AS i, $2::text AS t, $3::timestamptz AS at, $4::jsonb AS j, $5::bytea AS b, $6::int[] AS a,
        $7::bool AS yes, 12.50::numeric AS n, NULL::text AS nothing, 9007199254740993::int8 AS big`;
      const at = new Date('2024-02-29T12:34:56.789Z');
      const bytes = Buffer.from([0, 1, 254, 255]);
      const row = { i: -7, t: 'Größe 池', at, j: { a: [1, null] }, b: bytes, a: [1, 2, 3], yes: true, n: '12.50' };
      const { rows } = await stage.pool().query(text, [row.i, row.t, row.at, row.j, row.b, row.a, row.yes]);
      assert.deepEqual(rows, [{ ...row, nothing: null, big: '9007199254740993' }]);
    },
  },
  {
    name: 'a statement that fails has its code and its position, and costs no connection',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const error = await rejection(pool.query('SELECT * FROM not_there'), pg.DatabaseError);
      assert.deepEqual([error.code, error.position], ['42P01', '15']);
      assert.equal((await rejection(pool.query('SELECT 1 / $1::int', [0]), pg.DatabaseError)).code, '22012');
      await pool.query('SELECT 1');
      assert.equal(pool.stats().connects, 1);
    },
  },
  {
    name: 'the snapshot tells who speaks on the wire',
    async run(stage) {
      const pool = stage.pool();
      await pool.query('SELECT $1::int', [1]);
      const { speaker } = pool.snapshot();
      assert.ok(speaker);
      const { queriesByCodec = 0, queriesByPg = 0 } = pool.stats();
      assert.deepEqual([queriesByCodec, queriesByPg], speaker.who === 'codec' ? [1, 0] : [0, 1]);
      // Without the fingerprint, which each version of a runtime may have another of.
      return speaker.why === undefined ? speaker.who : `${speaker.who}, since ${speaker.why.replace(/ \(.*\)$/, '')}`;
    },
  },
  {
    name: 'with `speaker: "pg"` pg speaks, with the same answers',
    async run(stage) {
      const pool = stage.pool({ speaker: 'pg' });
      const { rows } = await pool.query('SELECT $1::int AS n, $2::text AS t', [1, 'x']);
      assert.deepEqual(rows, [{ n: 1, t: 'x' }]);
      assert.equal(pool.snapshot().speaker?.who, 'pg');
    },
  },
  {
    name: 'a text that is used often is prepared by itself',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      for (let n = 1; n <= 6; n += 1) {
        assert.deepEqual((await pool.query('SELECT $1::int AS n', [n])).rows, [{ n }]);
      }
      if (pool.snapshot().speaker?.who === 'pg') throw new Error('pg speaks, who prepares nothing by himself');
      const client = await pool.connect();
      const { rows } = await client.query("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'oxbow%'");
      client.release();
      assert.deepEqual(rows, [{ statement: 'SELECT $1::int AS n' }]);
    },
  },
  {
    name: 'an answer of several megabytes arrives whole',
    async run(stage) {
      const { rows } = await stage
        .pool()
        .query(`SELECT n, repeat(md5(n::text), 8) AS t FROM generate_series(1, ${MANY}) n`);
      assert.equal(rows.length, MANY);
      assert.ok(rows.every(({ n, t }, at) => n === at + 1 && t.length === 256));
    },
  },
  {
    name: 'a parameter of several megabytes arrives whole',
    async run(stage) {
      const long = 'é'.repeat(2_000_000);
      const { rows } = await stage.pool().query('SELECT md5($1) = md5(repeat($2, 2000000)) AS same', [long, 'é']);
      assert.deepEqual(rows, [{ same: true }]);
    },
  },
  {
    name: 'connect() lends a genuine client',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const client = await pool.connect();
      assert.ok(client instanceof pg.Client);
      assert.deepEqual((await client.query('SELECT $1::int AS n', [5])).rows, [{ n: 5 }]);
      client.release();
      assert.equal(pool.idleCount, 1);
      assert.ok(pool instanceof pg.Pool);
    },
  },
  {
    name: 'the callbacks of pg work',
    async run(stage) {
      const pool = stage.pool();
      const n = await new Promise((resolve, reject) => {
        pool.connect((failed, client, done) => {
          if (failed !== undefined || client === undefined) return reject(failed);
          client.query('SELECT 6 AS n', (error: Error | null, result: pg.QueryResult) => {
            done();
            if (error) reject(error);
            else resolve(result.rows[0]?.n);
          });
        });
      });
      assert.equal(n, 6);
    },
  },
  {
    name: 'a cursor (pg-cursor) reads on a lease, piece by piece',
    async run(stage) {
      await stage.pool({ max: 1 }).use(async (lease) => {
        const cursor = lease.client.query(new Cursor<{ n: number }>('SELECT n FROM generate_series(1, $1) n', [250]));
        const sizes: number[] = [];
        for (let rows = await cursor.read(100); rows.length > 0; rows = await cursor.read(100)) sizes.push(rows.length);
        await cursor.close();
        assert.deepEqual(sizes, [100, 100, 50]);
        assert.deepEqual((await lease.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
      });
    },
  },
  {
    name: 'COPY (pg-copy-streams) reads out of the server',
    async run(stage) {
      await stage.pool({ max: 1 }).use(async (lease) => {
        await lease.query('SELECT 1');
        const text = `COPY (SELECT n, repeat('x', 100) FROM generate_series(1, ${MANY}) n) TO STDOUT`;
        const chunks: Buffer[] = [];
        for await (const chunk of lease.client.query(copyTo(text))) chunks.push(Buffer.from(chunk));
        const lines = Buffer.concat(chunks).toString().split('\n');
        assert.equal(lines.length, MANY + 1);
        assert.equal(lines[MANY - 1], `${MANY}\t${'x'.repeat(100)}`);
        assert.deepEqual((await lease.query('SELECT $1::int AS n', [1])).rows, [{ n: 1 }]);
      });
    },
  },
  {
    name: 'LISTEN on a raw client hears what the pool notifies',
    async run(stage) {
      const pool = stage.pool();
      const client = await pool.connect();
      const heard = new Promise((resolve) => {
        client.once('notification', ({ channel, payload }) => resolve([channel, payload]));
      });
      await client.query('LISTEN oxbow_probe');
      await pool.query("SELECT pg_notify('oxbow_probe', $1)", ['ahoy']);
      assert.deepEqual(await heard, ['oxbow_probe', 'ahoy']);
      client.release(true);
    },
  },
];
