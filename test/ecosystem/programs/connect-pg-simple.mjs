// connect-pg-simple on the pool: a session is set, got, touched and destroyed; closing the store leaves the pool to whoever made it.

import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import connect from 'connect-pg-simple';
import session from 'express-session';
import { close, pool } from './kit.mjs';

const Store = connect(session);
const store = new Store({ pool, createTableIfMissing: true });
const [set, get, touch, destroy] = ['set', 'get', 'touch', 'destroy'].map((name) => promisify(store[name].bind(store)));

const visit = { cookie: { maxAge: 60_000, originalMaxAge: 60_000 }, user: 'ada' };
await set('one', visit);
await set('two', { ...visit, user: 'bob' });
assert.equal((await get('one')).user, 'ada');
await set('one', { ...visit, user: 'eve' });
await touch('one', visit);
assert.equal((await get('one')).user, 'eve');
await destroy('one');
assert.equal((await get('one')) ?? undefined, undefined);
assert.equal((await get('two')).user, 'bob');
await destroy('two');

await store.close();
assert.equal((await pool.query('SELECT FROM session')).rowCount, 0, 'the pool goes on');
await close();
console.log('done');
