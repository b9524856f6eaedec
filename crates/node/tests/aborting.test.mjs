/** A signal ends a wait with its reason, leaves every message where it is, and leaves nothing of itself behind. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { bus, program } from './support.mjs';

const { join } = ipmb;

const listeners = (signal) => getEventListeners(signal, 'abort').length;
const descriptors = () => readdirSync('/proc/self/fd').length;
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const outcome = (promise) => promise.then((value) => ({ value }), (reason) => ({ reason }));

/** A signal that is aborted with this reason after so many milliseconds. */
function soon(reason, millis = 20) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), millis);
  return controller.signal;
}

async function pair(context) {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  context.after(() => [earth, moon].forEach((endpoint) => endpoint.close()));
  return { earth, moon };
}

/** Fills the ring of who has this label; how many messages that took. */
async function fill(sender, label) {
  let count = 0;
  while ((await sender.send(label, Buffer.alloc(8000), [], { overflow: 'drop' })) === 1) count += 1;
  return count;
}

test('a recv is ended with the reason, and its message goes to the next', async (context) => {
  const { earth, moon } = await pair(context);
  const mine = new RangeError('mine');
  const signal = soon(mine);
  const [first, second] = [moon.receiver.recv(null, { signal }), moon.receiver.recv(10_000)];
  assert.deepEqual(await outcome(first), { reason: mine });
  assert.equal(listeners(signal), 0);
  await earth.sender.send('moon', 1);
  assert.equal((await second).payload, 1);
  await earth.sender.send('moon', 2);
  await assert.rejects(moon.receiver.recv(0, { signal }), mine);
  await assert.rejects(moon.receiver.recv(10_000, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(moon.receiver.recv(null, { signal: AbortSignal.abort(null) }), (reason) => reason === null);
  assert.equal((await moon.receiver.recv(0)).payload, 2);
  await assert.rejects(moon.receiver.recv(10_000, { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' });
});

test('the listener is gone however the wait ends', async (context) => {
  const { earth, moon } = await pair(context);
  const { signal } = new AbortController();
  const came = moon.receiver.recv(10_000, { signal });
  assert.equal(listeners(signal), 1);
  await earth.sender.send('moon', 1);
  await came;
  assert.equal(listeners(signal), 0);
  await assert.rejects(moon.receiver.recv(5, { signal }), { name: 'RecvTimeout' });
  assert.equal(listeners(signal), 0);
  const asked = earth.sender.request('moon', 'question', { signal });
  await (await moon.receiver.recv(10_000)).reply('answer');
  assert.equal((await asked).payload, 'answer');
  await assert.rejects(earth.sender.request('moon', 'question', { signal, timeout: 5 }), { name: 'RecvTimeout' });
  await moon.receiver.recv(10_000);
  (await join({ identifier: earth.identifier, label: ['mars'] }, 10_000, { signal })).close();
  await assert.rejects(join({ identifier: bus(), controllerAffinity: false }, 5, { signal }), { name: 'JoinTimeout' });
  assert.equal(listeners(signal), 0);
  await fill(earth.sender, 'moon');
  await assert.rejects(earth.sender.send('moon', Buffer.alloc(8000), [], { signal, timeout: 5 }), { name: 'SendTimeout' });
  const sent = earth.sender.send('moon', Buffer.alloc(8000), [], { signal });
  const waits = earth.receiver.recv(null, { signal });
  assert.equal(listeners(signal), 1, 'one for all');
  earth.close();
  for (const each of [sent, waits]) await assert.rejects(each, { name: 'Closed' });
  assert.equal(listeners(signal), 0);
});

test('one signal ends very many waits', async (context) => {
  const { moon } = await pair(context);
  const warnings = [];
  const note = (warning) => warnings.push(warning);
  process.on('warning', note);
  const signal = soon('all of you', 50);
  const waits = Array.from({ length: 10_000 }, () => outcome(moon.receiver.recv(60_000, { signal })));
  const started = performance.now();
  assert.deepEqual(new Set((await Promise.all(waits)).map(({ reason }) => reason)), new Set(['all of you']));
  assert.ok(performance.now() - started < 10_000);
  await pause(10);
  process.off('warning', note);
  assert.deepEqual(warnings, []);
});

test('no message is lost or changes its place, whenever a recv is ended', { timeout: 60_000 }, async (context) => {
  const { moon } = await pair(context);
  const count = 2000;
  const other = program(`
    const { sender } = await ipmb.join({ identifier: ${JSON.stringify(moon.identifier)}, label: ['sun'] }, 10_000);
    for (let number = 0; number < ${count}; number += 1) {
      await sender.send('moon', number);
      if (number % 7 === 0) await new Promise((resolve) => setTimeout(resolve, number % 3));
    }
  `, { timeout: 50_000 });
  const came = [];
  let aborted = 0;
  while (came.length < count) {
    const controller = new AbortController();
    const waits = [1, 2].map(() => outcome(moon.receiver.recv(20_000, { signal: controller.signal })));
    [setImmediate, setTimeout, queueMicrotask, (act) => act()][came.length % 4](() => controller.abort('enough'));
    for (const { value, reason } of await Promise.all(waits)) {
      if (value) came.push(value.payload);
      else assert.equal(reason, 'enough');
      if (!value) aborted += 1;
    }
    if (came.length % 4 > 1) await pause(0);
    if (aborted > 200_000) break;
  }
  assert.deepEqual(came, Array.from({ length: count }, (_, number) => number));
  assert.ok(aborted > 10, `${aborted} were ended`);
  assert.equal((await other).code, 0);
});

test('a message that waits for room is taken back, and those behind it go on', async (context) => {
  const { earth, moon } = await pair(context);
  const before = descriptors();
  const filled = await fill(earth.sender, 'moon');
  const taken = earth.sender.send('moon', Buffer.alloc(8001), [Buffer.alloc(10)], { signal: soon('no more'), objects: [0] });
  const queued = earth.sender.send('moon', Buffer.alloc(8002), [], { signal: soon('nor this') });
  const behind = earth.sender.send('moon', 'behind', [], { signal: new AbortController().signal });
  assert.deepEqual(await Promise.all([outcome(taken), outcome(queued)]), [{ reason: 'no more' }, { reason: 'nor this' }]);
  const again = () => earth.sender.send('moon', Buffer.alloc(8003), [Buffer.alloc(1)], { signal: AbortSignal.abort('at once') });
  for (let round = 0; round < 20; round += 1) assert.deepEqual(await outcome(again()), { reason: 'at once' });
  assert.ok(descriptors() < before + 10);
  for (let number = 0; number < filled; number += 1) assert.equal((await moon.receiver.recv(10_000)).payload.length, 8000);
  assert.equal((await moon.receiver.recv(10_000)).payload, 'behind');
  assert.equal(await behind, 1);
  await assert.rejects(earth.sender.send('moon', 'not', [], { signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.equal(await earth.sender.send('moon', 'sent', [], { signal: soon('late', 0) }), 1);
  await pause(5);
  assert.equal((await moon.receiver.recv(10_000)).payload, 'sent');
});

test('of those that many should get, who has it keeps it', async (context) => {
  const { earth, moon } = await pair(context);
  const filled = await fill(earth.sender, 'moon');
  const all = { labelOp: new ipmb.LabelOp('earth').or('moon'), mode: ipmb.SelectorMode.Multicast };
  assert.deepEqual(await outcome(earth.sender.send(all, Buffer.alloc(8000), [], { signal: soon('ended') })), { reason: 'ended' });
  assert.equal((await earth.receiver.recv(0)).payload.length, 8000);
  for (let number = 0; number < filled; number += 1) await moon.receiver.recv(10_000);
  await assert.rejects(moon.receiver.recv(50), { name: 'RecvTimeout' });
});

test('a request is ended, sent or not, and a late reply disturbs nobody', async (context) => {
  const { earth, moon } = await pair(context);
  const asked = outcome(earth.sender.request('moon', 1, { signal: soon('not so slow') }));
  const question = await moon.receiver.recv(10_000);
  assert.deepEqual(await asked, { reason: 'not so slow' });
  await question.reply('late', { signal: new AbortController().signal });
  await assert.rejects(question.reply('never', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(earth.sender.request('moon', 2, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const next = earth.sender.request('moon', 3, { signal: new AbortController().signal, timeout: 10_000 });
  const other = await moon.receiver.recv(10_000);
  assert.equal(other.payload, 3, 'the second was not sent');
  await other.reply('in time');
  assert.equal((await next).payload, 'in time');
  const nobody = { labelOp: 'nobody', ttl: null };
  assert.deepEqual(await outcome(earth.sender.request(nobody, 1, { signal: soon('nobody') })), { reason: 'nobody' });
  const filled = await fill(earth.sender, 'moon');
  const waits = earth.sender.request('moon', Buffer.alloc(8001), { signal: soon('no room') });
  assert.deepEqual(await outcome(waits), { reason: 'no room' });
  for (let number = 0; number < filled; number += 1) assert.equal((await moon.receiver.recv(10_000)).payload.length, 8000);
  await assert.rejects(moon.receiver.recv(50), { name: 'RecvTimeout' });
  await assert.rejects(earth.receiver.recv(0), { name: 'RecvTimeout' });
});

test('a joining is ended, and all that waits for it has the reason', async () => {
  const nowhere = () => ({ identifier: bus(), label: ['x'], controllerAffinity: false });
  const mine = new Error('mine');
  const signal = soon(mine);
  const endpoint = join(nowhere(), null, { signal });
  const waits = [endpoint.receiver.recv(), endpoint.sender.send('a', 1), endpoint.sender.request('a', 1), endpoint.then((joined) => joined)];
  for (const each of await Promise.all(waits.map(outcome))) assert.deepEqual(each, { reason: mine });
  assert.equal(listeners(signal), 0);
  await assert.rejects(endpoint.receiver.recv(), mine);
  endpoint.close();
  for (const reason of [mine, null]) {
    const early = join({ identifier: bus() }, 10_000, { signal: AbortSignal.abort(reason) });
    assert.deepEqual(await outcome(early.finally()), { reason });
    assert.deepEqual(await outcome(early.sender.send('a', 1)), { reason });
    early.close();
  }
  const controller = new AbortController();
  const joined = await join({ identifier: bus(), label: ['me'] }, 10_000, { signal: controller.signal });
  controller.abort();
  assert.equal(await joined.sender.send('me', 1), 1);
  joined.close();
});

test('what is ended while it waits for the joining harms none behind it', async () => {
  const identifier = bus();
  const endpoint = join({ identifier, label: ['late'], controllerAffinity: false }, 20_000);
  const { sender, receiver } = endpoint;
  const first = outcome(sender.send('late', 1, [], { signal: soon('one') }));
  const late = outcome(sender.send('late', 2, [], { timeout: 20 }));
  const asked = outcome(sender.request('late', 3, { signal: soon('three') }));
  const behind = sender.send('late', 4);
  const waits = outcome(receiver.recv(20_000, { signal: soon('five') }));
  assert.deepEqual([await first, await asked, await waits], ['one', 'three', 'five'].map((reason) => ({ reason })));
  assert.equal((await late).reason.name, 'SendTimeout');
  const controller = await join({ identifier, label: ['controller'] }, 10_000);
  assert.equal(await behind, 1);
  assert.equal((await receiver.recv(10_000)).payload, 4);
  await assert.rejects(receiver.recv(20), { name: 'RecvTimeout' });
  (await endpoint).close();
  controller.close();
});

test('what is no signal is a TypeError that names it', async (context) => {
  const { earth, moon } = await pair(context);
  for (const signal of [5, 'abort', true, {}, [], new AbortController(), () => {}, { aborted: false }, new EventTarget(),
    Object.create(AbortSignal.prototype), { aborted: true, reason: 1 }]) {
    const wrong = { name: 'TypeError', message: /^signal is .*: give an AbortSignal$/ };
    await assert.rejects(moon.receiver.recv(0, { signal }), wrong);
    await assert.rejects(earth.sender.send('moon', 1, [], { signal }), wrong);
    await assert.rejects(earth.sender.request('moon', 1, { signal }), wrong);
    await assert.rejects(async () => join({ identifier: bus() }, 0, { signal }), wrong);
  }
  for (const signal of [undefined, null]) await assert.rejects(moon.receiver.recv(0, { signal }), { name: 'RecvTimeout' });
  const named = { name: 'TypeError', message: /^options has "singal": give only signal$/ };
  await assert.rejects(moon.receiver.recv(0, { singal: null }), named);
  await assert.rejects(async () => join({ identifier: bus() }, 0, { singal: null }), named);
  await assert.rejects(moon.receiver.recv(0, new AbortController().signal), { name: 'TypeError', message: /^options is an AbortSignal: give \{signal\}$/ });
});

test('a signal keeps no process alive, and what it has ended neither', async () => {
  const { code, out, errors } = await program(`
    const { signal } = new AbortController();
    const endpoint = await ipmb.join({ identifier: ${JSON.stringify(bus())}, label: ['me'] }, 10_000, { signal });
    const told = (name) => (error) => console.log(name, error.name);
    await Promise.all([
      endpoint.receiver.recv(null, { signal: AbortSignal.timeout(50) }).catch(told('recv')),
      endpoint.sender.request({ labelOp: 'nobody', ttl: null }, 1, { signal: AbortSignal.timeout(100) }).catch(told('request')),
      ipmb.join({ identifier: 'nobody.' + process.pid, controllerAffinity: false }, null, { signal: AbortSignal.timeout(150) }).catch(told('join')),
    ]);
    endpoint.receiver.recv(1, { signal }).catch(told('recv'));
  `);
  assert.deepEqual([code, out, errors], [0, 'recv TimeoutError\nrequest TimeoutError\njoin TimeoutError\nrecv RecvTimeout\n', '']);
});
