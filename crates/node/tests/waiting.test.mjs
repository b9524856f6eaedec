/** Waiting holds up nobody: not the event loop, not other messages; and it ends when it should. */

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { Queue, Queued } from '../lib/queue.js';
import { bus, index, joined, program, until } from './support.mjs';

const { join } = ipmb;

test('timers go on while everything waits', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const nobody = join({ identifier: bus(), controllerAffinity: false });
  const waits = [endpoint.receiver.recv(), nobody, endpoint.sender.request({ labelOp: 'nobody', ttl: null }, 1)];
  const ended = Promise.allSettled(waits);
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  await new Promise((resolve) => setTimeout(resolve, 500));
  clearInterval(timer);
  assert.ok(longest < 250, `the loop stood still for ${longest} ms`);
  endpoint.close();
  nobody.close();
  assert.deepEqual((await ended).map(({ status }) => status), ['rejected', 'rejected', 'rejected']);
});

test('a flood of messages leaves others their turn', async () => {
  const identifier = bus();
  const receiving = await join({ identifier, label: ['me'] }, 10_000);
  const flood = program(`
    const { sender } = await ipmb.join({ identifier: ${JSON.stringify(identifier)}, label: [] }, 10_000);
    while (await sender.send('me', 'flood'));
  `, { timeout: 5000 });
  let turns = 0;
  let count = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  let end = Infinity;
  for await (const { payload } of receiving.receiver) {
    assert.equal(payload, 'flood');
    count += 1;
    if (end === Infinity) [end, turns] = [Date.now() + 1000, 0];
    if (Date.now() > end) break;
  }
  clearInterval(timer);
  receiving.close();
  assert.ok(count > 100, `${count} messages`);
  assert.ok(turns > 20, `${turns} turns of a timer among ${count} messages`);
  await flood;
});

test('several who receive leave others their turn', async () => {
  const identifier = bus();
  const receiving = await join({ identifier, label: ['me'] }, 10_000);
  const sending = await join({ identifier, label: [] }, 10_000);
  let count = 0;
  while (await sending.sender.send('me', count, [], { overflow: 'drop' })) count += 1;
  let [asked, read, before] = [0, 0, Infinity];
  setImmediate(() => {
    before = read;
  });
  const reader = async () => {
    while (asked < count) {
      asked += 1;
      await receiving.receiver.recv(10_000);
      read += 1;
    }
  };
  await Promise.all([reader(), reader(), reader()]);
  assert.ok(before < count / 2, `${before} of ${count} messages before the loop's next turn`);
  receiving.close();
  sending.close();
});

test('one who sends without end leaves others their turn', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const end = Date.now() + 500;
  while (Date.now() < end) assert.equal(await endpoint.sender.send('nobody', 1), 0);
  clearInterval(timer);
  endpoint.close();
  assert.ok(turns > 10, `${turns} turns`);
});

test('what finds no room is sent in its order when there is', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  const count = 500;
  // Nobody awaits these; the ring takes a few of them.
  const sent = Array.from({ length: count }, (_, number) => {
    const data = Buffer.alloc(5000, number % 256);
    const done = earth.sender.send('moon', data);
    data.fill(0xff);
    return done;
  });
  await assert.rejects(earth.sender.send('moon', Buffer.alloc(16_000), [], { overflow: 'error' }), { name: 'Full' });
  // Who is slow holds up nobody else.
  assert.equal(await earth.sender.send('earth', 'meanwhile'), 1);
  assert.equal((await earth.receiver.recv(10_000)).payload, 'meanwhile');
  for (let number = 0; number < count; number += 1) {
    const { payload } = await moon.receiver.recv(10_000);
    assert.equal(payload.length, 5000);
    assert.equal(payload[0], number % 256, `message ${number}`);
    assert.equal(payload[4999], number % 256);
  }
  assert.deepEqual(new Set(await Promise.all(sent)), new Set([1]));
  earth.close();
  moon.close();
});

test('what is sent while there is room again stays behind what waits', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  let filled = 0;
  while ((await earth.sender.send('moon', Buffer.alloc(8000), [], { overflow: 'drop' })) === 1) filled += 1;
  earth.sender.send('moon', Buffer.alloc(8001));
  // All of it is taken without a turn of the event loop: the one that waits has not been tried again.
  for (; filled > 0; filled -= 1) assert.equal((await moon.receiver.recv(0)).payload.length, 8000);
  earth.sender.send('moon', 'behind');
  assert.equal((await moon.receiver.recv(10_000)).payload.length, 8001);
  assert.equal((await moon.receiver.recv(10_000)).payload, 'behind');
  earth.close();
  moon.close();
});

test('one that is given up leaves those behind it their turn', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  let filled = 0;
  while ((await earth.sender.send('moon', Buffer.alloc(8000), [], { overflow: 'drop' })) === 1) filled += 1;
  const late = earth.sender.send('moon', Buffer.alloc(8001), [], { timeout: 50 });
  const behind = earth.sender.send('moon', 'behind');
  const polled = earth.sender.send('moon', Buffer.alloc(8002), [], { timeout: 0 });
  await assert.rejects(polled, { name: 'SendTimeout' });
  await assert.rejects(late, { name: 'SendTimeout', delivered: 0 });
  for (; filled > 0; filled -= 1) assert.equal((await moon.receiver.recv(10_000)).payload.length, 8000);
  assert.equal((await moon.receiver.recv(10_000)).payload, 'behind');
  assert.equal(await behind, 1);
  const waits = earth.sender.send('nobody at all', 1);
  assert.equal(await waits, 0);
  earth.close();
  moon.close();
});

test('closing ends a request that waits for the joining', { timeout: 10_000 }, async () => {
  const endpoint = join({ identifier: bus(), label: [], controllerAffinity: false });
  const asked = endpoint.sender.request('nobody', 1);
  endpoint.sender.close();
  await assert.rejects(asked, { name: 'Closed' });
  endpoint.close();
});

test('closing ends what waits for room', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  while ((await earth.sender.send('moon', Buffer.alloc(8000), [], { overflow: 'drop' })) === 1);
  const waits = Promise.allSettled([earth.sender.send('moon', Buffer.alloc(8000)), earth.sender.send('moon', Buffer.alloc(8000))]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  earth.sender.close();
  assert.deepEqual((await waits).map(({ reason }) => reason.name), ['Closed', 'Closed']);
  await assert.rejects(earth.sender.send('moon', 1), { name: 'Closed' });
  earth.close();
  moon.close();
});

test('several recv share what comes, the first first', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const waiting = [1, 2, 3].map(() => endpoint.receiver.recv(10_000));
  for (const number of [1, 2, 3]) endpoint.sender.send('me', number);
  assert.deepEqual((await Promise.all(waiting)).map(({ payload }) => payload), [1, 2, 3]);
  endpoint.close();
});

test('a message that nobody can decode is an error of one recv', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['me'] }, 10_000);
  const ours = Symbol.for('nothing');
  assert.equal(typeof ours, 'symbol');
  // Under the UUID of a list come bytes that are none.
  const list = '69706d62-0000-8000-8000-000000000007';
  me.sender.send('me', new ipmb.Typed(list, { no: 'list' }));
  me.sender.send('me', 'next');
  await assert.rejects(me.receiver.recv(10_000), (error) => error.name === 'DecodeError' && error.sender.id === me.id);
  assert.equal((await me.receiver.recv(10_000)).payload, 'next');
  const asked = me.sender.request('me', new ipmb.Typed(list, 1), { timeout: 10_000 });
  const refused = assert.rejects(asked, { name: 'RemoteError', message: /could not decode/ });
  await assert.rejects(me.receiver.recv(10_000), { name: 'DecodeError' });
  await refused;
  me.close();
});

test('a request that fails is an error of who asked', async () => {
  const me = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const asked = me.sender.request('me', 'XII', { timeout: 10_000 });
  const request = await me.receiver.recv(10_000);
  await assert.rejects(request.fail('text'), { name: 'TypeError', message: 'error is a string: give an Error' });
  assert.equal(await request.fail(new RangeError('no number: \ud800')), 1);
  await assert.rejects(asked, { name: 'RemoteError', message: /^RangeError: no number: \ufffd, in the handler of "me"/ });
  await me.sender.send('me', 'no request');
  await assert.rejects((await me.receiver.recv(10_000)).fail(new Error('?')), { name: 'TypeError', message: /is no request/ });
  me.close();
});

test('a sender that is killed leaves what it has sent, one that is asked is lost', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['me'] }, 10_000);
  let child;
  const dies = program(
    `
    const endpoint = await ipmb.join({ identifier: ${JSON.stringify(identifier)}, label: ['victim'] }, 10_000);
    for (let number = 0; number < 100; number += 1) endpoint.sender.send('me', number);
    console.log('sent');
    for await (const message of endpoint.receiver);
  `,
    { say: (_, process) => (child = process) },
  );
  await until(() => child);
  const asked = me.sender.request('victim', 'still there?');
  await new Promise((resolve) => setTimeout(resolve, 50));
  child.kill('SIGKILL');
  await assert.rejects(asked, { name: 'PeerLost' });
  assert.equal((await dies).signal, 'SIGKILL');
  for (let number = 0; number < 100; number += 1) assert.equal((await me.receiver.recv(10_000)).payload, number);
  await until(() => me.peers().length === 0);
  me.close();
});

test('each of very many that wait costs the same', async () => {
  // In a program of their own: the promises of a test cost much more.
  const lanes = path.resolve(path.dirname(index), 'sending.js');
  const { code, out, errors } = await program(
    joined(`
      const { Lanes } = (await import(${JSON.stringify(lanes)})).default;
      const many = 200_000;
      const sent = [];
      const lanes = new Lanes();
      const fill = () => Array.from({ length: many }, (_, index) => lanes.push('lane', Infinity, () => sent.push(index)));
      const all = fill();
      lanes.run();
      await Promise.all(all);
      console.log(lanes.empty, sent.length, sent.every((value, index) => value === index));
      const refused = fill().map((one) => one.catch((error) => error));
      lanes.fail('over');
      console.log((await Promise.all(refused)).every((error) => error === 'over'));
      const waiting = Array.from({ length: many }, () => receiver.recv().catch((error) => error.name));
      receiver.close();
      console.log((await Promise.all(waiting)).every((name) => name === 'Closed'));
    `),
    // Seconds; with an array that is shifted it is minutes.
    { timeout: 40_000 },
  );
  assert.deepEqual([code, out, errors], [0, 'true 200000 true\ntrue\ntrue\nover\n', '']);
});

test('those who wait leave their queue from anywhere', () => {
  const queue = new Queue();
  const all = Array.from({ length: 6 }, () => new Queued());
  const rest = () => {
    const found = [];
    for (let one = queue.first; one; one = one.behind) found.push(all.indexOf(one));
    return found;
  };
  for (const one of all) queue.push(one);
  for (const [place, left] of [[3, [0, 1, 2, 4, 5]], [5, [0, 1, 2, 4]], [0, [1, 2, 4]]]) {
    assert.equal(queue.remove(all[place]), true);
    assert.equal(queue.remove(all[place]), false);
    assert.deepEqual(rest(), left);
  }
  assert.equal(new Queue().remove(all[1]), false);
  queue.push(all[0]);
  for (const one of [all[2], all[0], all[1], all[4]]) assert.ok(queue.remove(one));
  assert.deepEqual([rest(), queue.first], [[], undefined]);
  queue.push(all[5]);
  assert.deepEqual(rest(), [5]);
});
