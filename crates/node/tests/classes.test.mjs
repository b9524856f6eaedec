/** What the classes are to others: to those who construct them, to `console.log`, to `using`. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { inspect } from 'node:util';

import ipmb from '../lib/index.js';
import { bus, index } from './support.mjs';

const { join } = ipmb;

test('what comes from somewhere is not constructed', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const asked = endpoint.sender.request('me', 'question', { timeout: 10_000 });
  const message = await endpoint.receiver.recv(10_000);
  const joining = endpoint.constructor;
  for (const [Class, says] of [
    [ipmb.Sender, /^a Sender comes from join\(\)/],
    [ipmb.Receiver, /^a Receiver comes from join\(\)/],
    [ipmb.Endpoint, /^an Endpoint comes from join\(\)/],
    [joining, /^an Endpoint comes from join\(\)/],
    [ipmb.Message, /^a Message comes from recv\(\) or request\(\)/],
  ]) {
    for (const given of [[], [{}, {}, {}, {}, {}], [message, endpoint, endpoint.sender], [null, 1, 'a']]) {
      assert.throws(() => new Class(...given), { name: 'TypeError', message: says });
    }
  }
  await message.reply('answer');
  assert.equal((await asked).payload, 'answer');
  endpoint.close();
});

test('console.log shows what a thing is, open or closed', async () => {
  const identifier = bus();
  const endpoint = await join({ identifier, label: ['blue', 'earth'] }, 10_000);
  const { sender, receiver } = endpoint;
  assert.equal(inspect(endpoint), `Endpoint(${identifier}, [blue, earth])`);
  assert.equal(inspect(receiver), `Receiver(${identifier}, [blue, earth])`);
  const id = '5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2d21';
  const asked = sender.request('earth', { at: [new ipmb.UUID(id)] }, { timeout: 10_000, objects: [0] });
  const question = await receiver.recv(10_000);
  const [object] = question.objects;
  const peer = `{ id: ${endpoint.id}n, label: [ 'blue', 'earth' ], pid: ${process.pid} }`;
  const flat = (value) => inspect(value, { breakLength: Infinity });
  const payload = `{ at: [ UUID(${id}) ] }`;
  assert.equal(
    flat(question),
    `Message { payload: ${payload}, sender: ${peer}, isRequest: true, objects: [ Object(fd ${object.value()}) ] }`,
  );
  question.close();
  assert.equal(inspect(object), 'Object(closed)');
  await question.reply(null);
  assert.equal(flat(await asked), `Message { payload: null, sender: ${peer} }`);
  assert.equal(inspect([[[question]]]), '[ [ [ [Message] ] ] ]');

  const region = new ipmb.MemoryRegion(4096);
  region.write(Buffer.from('some'));
  assert.equal(inspect(region), 'MemoryRegion(4096 bytes)');
  region.freeze();
  assert.equal(inspect(region), 'MemoryRegion(4096 bytes, frozen)');
  region.close();
  assert.equal(inspect(region), 'MemoryRegion(closed)');
  assert.equal(inspect(new ipmb.LabelOp('a').and('b').not()), `LabelOp(${new ipmb.LabelOp('a').and('b').not()})`);
  assert.equal(inspect({ id: new ipmb.UUID(id) }), `{ id: UUID(${id}) }`);
  assert.equal(flat(new ipmb.Typed(id, 1)), `Typed { type: UUID(${id}), value: 1 }`);

  sender.close();
  assert.equal(inspect(sender), `Sender(${identifier}, [blue, earth], closed)`);
  assert.equal(inspect(receiver), `Receiver(${identifier}, [blue, earth])`);
  endpoint.close();
  assert.equal(inspect(endpoint), `Endpoint(${identifier}, [blue, earth], closed)`);
  assert.equal(flat(question).startsWith('Message { payload: '), true);
  const alone = join({ identifier, controllerAffinity: false }, 20);
  assert.equal(inspect(alone), `Endpoint(${identifier}, [], joining)`);
  assert.equal(inspect(alone.sender), `Sender(${identifier}, [], joining)`);
  await assert.rejects(alone.finally(), { name: 'JoinTimeout' });
  assert.equal(inspect(alone), `Endpoint(${identifier}, [], failed)`);
});

test('console.log of what is none of them throws nothing', () => {
  const region = new ipmb.MemoryRegion(1);
  for (const Class of Object.values(ipmb).filter((value) => typeof value === 'function')) {
    inspect(Class);
    inspect(Class.prototype);
    inspect(Object.create(Class.prototype ?? null));
    inspect(Object.setPrototypeOf({}, Class.prototype ?? null), { showHidden: true });
  }
  assert.equal(inspect(Object.create(ipmb.UUID.prototype)), '[UUID]');
  inspect(new Proxy(region, {}));
  inspect(new Proxy(region, {}), { showProxy: true });
});

test('what is closed can be disposed of, where there are symbols for that', { skip: !Symbol.dispose }, async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const region = new ipmb.MemoryRegion(10);
  await endpoint.sender.send('me', 1, [region], { objects: [0] });
  const message = await endpoint.receiver.recv(10_000);
  message[Symbol.dispose]();
  assert.deepEqual([message.objects[0].closed, message.memoryRegions[0].closed], [true, true]);
  const object = new ipmb.Object(0);
  for (const one of [region, object, endpoint.sender, endpoint.receiver]) {
    assert.equal(one.closed, false);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    assert.equal(one.closed, true);
  }
  const events = endpoint.watch();
  const next = events.next();
  await events[Symbol.asyncDispose]();
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.equal(endpoint[Symbol.dispose](), undefined);
  assert.throws(() => endpoint.peers(), { name: 'Closed' });
  const other = await join({ identifier: bus(), label: ['me'] }, 10_000);
  assert.equal(await other[Symbol.asyncDispose](), undefined);
  await assert.rejects(other.sender.send('me', 1), { name: 'Closed' });
});

test('a runtime without these symbols does without', () => {
  const source = `
    const real = Symbol;
    globalThis.Symbol = (text) => real(text);
    for (const key of Reflect.ownKeys(real)) {
      if (!/^(dispose|asyncDispose|length|name|prototype)$/.test(key)) Symbol[key] = real[key];
    }
    const ipmb = require(${JSON.stringify(index)});
    for (const Class of [ipmb.Endpoint, ipmb.Sender, ipmb.Receiver, ipmb.Message, ipmb.MemoryRegion, ipmb.Object]) {
      const odd = Reflect.ownKeys(Class.prototype).filter((key) => key === 'undefined' || /ispose/.test(String(key)));
      if (odd.length > 0) console.log(Class.name, odd);
    }
    (async () => {
      const endpoint = await ipmb.join({ identifier: ${JSON.stringify(bus())}, label: ['me'] }, 10_000);
      const events = endpoint.watch();
      console.log('undefined' in events);
      endpoint.close();
    })();`;
  const ran = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual([ran.stdout, ran.stderr, ran.status], ['false\n', '', 0]);
});

test('whoever sent a message can be written down as JSON', async () => {
  const me = await join({ identifier: bus(), label: ['me'] }, 10_000);
  me.sender.send('me', 1);
  const { sender } = await me.receiver.recv(10_000);
  assert.deepEqual(JSON.parse(JSON.stringify(sender)), { id: String(me.id), label: ['me'], pid: process.pid });
  assert.deepEqual(Object.keys(sender), ['id', 'label', 'pid']);
  me.close();
});

test('what is given in the wrong place is told where its place is', async () => {
  const me = await join({ identifier: bus(), label: ['me'] }, 10_000);
  await assert.rejects(me.sender.send('me', 1, { timeout: 5 }), { message: /^buffers is an object: .* options come after it$/ });
  await assert.rejects(me.sender.send('me', 1, [], { ttl: 5 }), { message: /has "ttl": .*; ttl and mode belong to the selector/ });
  await assert.rejects(me.sender.request('me', 1, [Buffer.from('x')]), { message: 'options is an array: give an object' });
  const names = Object.keys(me.stats()).filter((name) => !/By/.test(name));
  assert.deepEqual(names, [...names].sort());
  me.close();
});

test('who gets what he does not take is told so when his time is over', async () => {
  const me = await join({ identifier: bus(), label: ['me'] }, 10_000);
  me.sender.send('me', new ipmb.Typed('00000001-7e57-4000-8000-0000000004b1', 1));
  await assert.rejects(me.receiver.recv(0), { name: 'RecvTimeout', message: /; 1 so far were of types that this receiver does not take/ });
  me.close();
});
