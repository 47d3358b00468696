// Which call a piece of work belongs to, and what a call that is over keeps: nothing, and no line of ancestors. On a real AsyncLocalStorage, with
// leases that are none.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { LeaseRecord } from '../../src/contracts/ledger.ts';
import {
  beginCall,
  type Call,
  callsAround,
  currentCall,
  followTasks,
  inside,
  tasks,
} from '../../src/diagnosis/tasks.ts';

const pool = {};

function lease(tenure = { over: false }): LeaseRecord & { readonly tenure: { readonly over: boolean } } {
  return { id: 1, label: undefined, since: 0, origin: {}, task: undefined, tenure };
}

function begin(): Call {
  const call = beginCall(lease(), pool);
  assert.ok(call);
  return call;
}

followTasks(true);

test('a call is around what is begun in it, also when that goes on, and around nothing else', async () => {
  const call = begin();
  const later = inside(
    call,
    async () => {
      await Promise.resolve();
      return currentCall();
    },
    undefined,
  );
  assert.equal(currentCall(), undefined);
  assert.equal(await later, call);
  assert.equal(tasks.current(), undefined);
});

test('a lease belongs to the call that was begun with it', () => {
  const record = lease();
  const call = beginCall(record, pool);
  assert.equal(record.task, call);
});

test('a call that has given its connection back holds none, though it goes on', () => {
  const tenure = { over: false };
  const call = beginCall(lease(tenure), pool);
  assert.ok(call);
  assert.equal(inside(call, tasks.holdsLease, undefined), true);
  tenure.over = true;
  assert.equal(inside(call, tasks.holdsLease, undefined), false);
  assert.equal(call.over, false);
});

test('what is detached is in no call, whoever asks for it', () => {
  const seen = inside(begin(), () => tasks.detached(() => currentCall()), undefined);
  assert.equal(seen, undefined);
});

test('a task holds a lease as long as one of the calls around it is under way', () => {
  const outer = begin();
  inside(
    outer,
    () => {
      const inner = begin();
      inside(
        inner,
        () => {
          assert.equal(tasks.holdsLease(), true);
          inner.end();
          assert.equal(tasks.holdsLease(), true, 'the outer one');
          outer.end();
          assert.equal(tasks.holdsLease(), false);
        },
        undefined,
      );
    },
    undefined,
  );
  assert.equal(tasks.holdsLease(), false);
});

test('calls of which each begins in the one before, just before that ends, are no chain', () => {
  let last = begin();
  for (let n = 0; n < 100; n += 1) {
    const next = inside(last, begin, undefined);
    assert.equal(next.parent, last);
    last.end();
    last = next;
  }
  const line = inside(last, () => [...callsAround()], undefined);
  assert.ok(line.length <= 2, `${line.length} calls are kept`);
});

test('a call that begins in one that is over is the child of whatever is still under way', () => {
  const outer = begin();
  const between = inside(outer, begin, undefined);
  between.end();
  assert.equal(inside(between, begin, undefined).parent, outer);
});

test('a call that is over keeps neither its call site nor the line before it', () => {
  const outer = begin();
  const inner = inside(outer, begin, undefined);
  outer.end();
  inner.end();
  assert.deepEqual([inner.origin, inner.parent, outer.origin], [undefined, undefined, undefined]);
});
