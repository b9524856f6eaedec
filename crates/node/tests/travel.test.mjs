/** What is sent arrives: bytes, values, descriptors, memory, with everything that is said of them. */

import assert from 'node:assert/strict';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { bus } from './support.mjs';

const { join, LabelOp, MemoryRegion, MemoryRegistry, SelectorMode } = ipmb;

/** Two endpoints on a bus. */
async function pair(options = {}) {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'], ...options }, 10_000);
  const moon = await join({ identifier, label: ['moon', 'grey'] }, 10_000);
  return { earth, moon, close: () => [earth, moon].forEach((endpoint) => endpoint.close()) };
}

test('the interface as it is promised', async () => {
  const identifier = bus();
  const { sender, receiver } = join({ identifier, label: ['earth'], token: 'secret', controllerAffinity: true }, 10_000);
  const to = { labelOp: new LabelOp('earth'), mode: SelectorMode.Unicast, ttl: 0 };
  sender.send(to, { format: 7, data: Buffer.from('hello') }, [Buffer.from('region'), Buffer.from('another')]);
  const { bytesMessage, objects, memoryRegions } = await receiver.recv(10_000);
  assert.equal(bytesMessage.format, 7);
  assert.deepEqual(bytesMessage.data, Buffer.from('hello'));
  assert.deepEqual(objects, []);
  assert.deepEqual(memoryRegions.map((region) => region.map(0, -1).toString()), ['region', 'another']);
  receiver.close();
  sender.close();
});

test('who sent it, and to whom', async () => {
  const { earth, moon, close } = await pair();
  const op = new LabelOp('moon').and(new LabelOp('red').not());
  assert.equal(await earth.sender.send({ labelOp: op, mode: SelectorMode.Multicast, ttl: 1500 }, 'text'), 1);
  const message = await moon.receiver.recv(10_000);
  assert.equal(message.payload, 'text');
  assert.deepEqual(message.sender, { id: earth.id, label: ['earth'], pid: process.pid });
  assert.equal(message.selector.labelOp.toString(), 'moon & !red');
  assert.equal(message.selector.mode, SelectorMode.Multicast);
  assert.equal(message.selector.ttl, 1500);
  assert.equal(message.redelivered, false);
  assert.equal(message.isRequest, false);
  assert.deepEqual(moon.peers(), [{ id: earth.id, label: ['earth'], pid: process.pid }]);
  close();
});

test('every size arrives whole, in rings and in regions', async () => {
  const { earth, moon, close } = await pair();
  for (const size of [0, 1, 100, 16_000, 16_384, 20_000, 65_536, 70_000, 1 << 20, 10_000_000]) {
    const data = Buffer.alloc(size, 'abcdefg');
    earth.sender.send('moon', data);
    const { payload, bytesMessage } = await moon.receiver.recv(10_000);
    assert.ok(payload.equals(data), `${size} bytes`);
    assert.equal(bytesMessage.format, 0);
    assert.ok(bytesMessage.data.equals(data), `${size} bytes`);
    earth.sender.send('moon', { format: 3, data });
    assert.ok((await moon.receiver.recv(10_000)).bytesMessage.data.equals(data), `${size} bytes with a format`);
  }
  close();
});

test('a value is taken as it is when it is sent', async () => {
  const { earth, moon, close } = await pair();
  const data = Buffer.from('before');
  earth.sender.send('moon', data);
  data.fill('x');
  assert.equal((await moon.receiver.recv(10_000)).payload.toString(), 'before');
  close();
});

test('also before the endpoint has joined', async () => {
  const identifier = bus();
  const endpoint = join({ identifier, label: ['earth'] }, 10_000);
  const data = Buffer.from('before');
  const sent = [endpoint.sender.send('earth', data), endpoint.sender.send('earth', 'second')];
  data.fill('x');
  assert.equal((await endpoint.receiver.recv(10_000)).payload.toString(), 'before');
  assert.equal((await endpoint.receiver.recv(10_000)).payload, 'second');
  assert.deepEqual(await Promise.all(sent), [1, 1]);
  endpoint.close();
});

test('objects of other types, by their UUID', async () => {
  const type = '5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2d11';
  const { earth, moon, close } = await pair({ types: [type] });
  moon.sender.send('earth', new ipmb.Typed(type, { a: [1] }));
  const { payload } = await earth.receiver.recv(10_000);
  assert.equal(payload.type.toString(), type);
  assert.deepEqual(payload.value, { a: [1] });
  // One that did not ask for it skips it, and counts that.
  earth.sender.send('moon', new ipmb.Typed(type, 1));
  earth.sender.send('moon', 'next');
  assert.equal((await moon.receiver.recv(10_000)).payload, 'next');
  assert.equal(moon.stats().skipped, 1);
  close();
});

test('a descriptor arrives as another one for the same file', async () => {
  const { earth, moon, close } = await pair();
  const folder = mkdtempSync(path.join(tmpdir(), 'ipmb-'));
  const fd = openSync(path.join(folder, 'file'), 'w+');
  const object = new ipmb.Object(fd);
  await earth.sender.send('moon', 'look', [], { objects: [object, fd, { fd }] });
  closeSync(fd);
  object.close();
  assert.throws(() => object.value(), { name: 'RangeError', message: /closed/ });
  const message = await moon.receiver.recv(10_000);
  assert.equal(message.objects.length, 3);
  writeSync(message.objects[0].value(), 'written', 0);
  const room = Buffer.alloc(7);
  assert.equal(readSync(message.objects[1].value(), room, 0, 7, 0), 7);
  assert.equal(room.toString(), 'written');
  const mine = message.objects[2].detach();
  message.close();
  assert.ok(message.objects[0].closed);
  assert.ok(fstatSync(mine).isFile());
  closeSync(mine);
  rmSync(folder, { recursive: true });
  close();
});

test('a region is the same memory at both sides', async () => {
  const { earth, moon, close } = await pair();
  const region = new MemoryRegion(100_000);
  region.map(64, 4).write('here');
  await earth.sender.send('moon', null, [region], { memoryRegions: [region] });
  const message = await moon.receiver.recv(10_000);
  const [first, second] = message.memoryRegions.map((received) => received.map());
  assert.equal(first.length, 100_000);
  assert.equal(first.toString('latin1', 64, 68), 'here');
  first.write('there', 64);
  assert.equal(region.map(64, 5).toString(), 'there');
  assert.equal(second.toString('latin1', 64, 69), 'there');
  assert.equal(region.refCount, 2);
  // A buffer outlives the region that it is of.
  message.close();
  assert.equal(first.toString('latin1', 64, 69), 'there');
  close();
});

test('holds of one region share its memory', () => {
  const region = new MemoryRegion(4096);
  const other = region.clone();
  const [one, two] = [region.map(), other.map()];
  one[0] = 1;
  assert.equal(two[0], 1);
  region.close();
  assert.deepEqual([one[0], two[0], other.refCount], [1, 1, 1]);
  two[0] = 2;
  assert.equal(other.map()[0], 2);
});

test('bytes are copied into a region, its own too', () => {
  const region = new MemoryRegion(100);
  region.write(Buffer.from('abcdef'), 10);
  region.write(region.map(10, 6), 12);
  assert.equal(region.read(10, 8).toString(), 'ababcdef');
  region.write(Buffer.alloc(0), 100);
  assert.throws(() => region.write(Buffer.alloc(91), 10), { name: 'RangeError', message: /^data is 91 bytes: give at most 90/ });
  assert.throws(() => region.write('text'), { name: 'TypeError', message: /^data is a string/ });
});

test('what is frozen is read-only, and a buffer of it is a copy', async () => {
  const { earth, moon, close } = await pair();
  const mapped = new MemoryRegion(4096);
  const buffer = mapped.map();
  assert.throws(() => mapped.freeze(), { name: 'SystemError', message: /fill it with write/ });
  assert.equal(buffer.length, 4096);
  const region = new MemoryRegion(4096);
  region.write(Buffer.from('ours'));
  region.freeze();
  assert.throws(() => region.write(Buffer.from('more')), { name: 'SystemError' });
  assert.equal(region.frozen, true);
  await earth.sender.send('moon', null, [region]);
  const [received] = (await moon.receiver.recv(10_000)).memoryRegions;
  const copy = received.map();
  assert.equal(copy.toString('latin1', 0, 4), 'ours');
  // In memory that is read-only this would end the process.
  copy.write('mine');
  assert.equal(copy.toString('latin1', 0, 4), 'mine');
  assert.equal(region.read(0, 4).toString(), 'ours');
  close();
});

test('a registry uses memory again, and says when it is free', async () => {
  const registry = new MemoryRegistry();
  let freed = 0;
  const region = registry.alloc(1000, 'frames', () => {
    freed += 1;
  });
  assert.ok(region.size >= 1000);
  region.write(Buffer.from('left'));
  registry.maintain();
  assert.equal(freed, 0);
  region.close();
  registry.maintain();
  assert.equal(freed, 1);
  const again = registry.alloc(1000, 'frames');
  assert.equal(again.read(0, 4).toString(), 'left');
  again.close();
});

test('with a ttl it waits for somebody', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  assert.equal(await earth.sender.send('moon', 'lost'), 0);
  assert.equal(await earth.sender.send({ labelOp: 'moon', ttl: null }, 'waits'), 0);
  assert.equal(earth.stats().waiting, 1);
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  assert.equal((await moon.receiver.recv(10_000)).payload, 'waits');
  await assert.rejects(moon.receiver.recv(0), { name: 'RecvTimeout' });
  assert.equal(earth.stats().droppedByReason.no_route, 1);
  earth.close();
  moon.close();
});

test('requests and replies', async () => {
  const { earth, moon, close } = await pair();
  const serving = (async () => {
    for await (const message of moon.receiver) {
      if (message.payload === 'silence') continue;
      await message.reply({ twice: message.payload * 2 });
    }
  })();
  const replies = await Promise.all([1, 2, 3].map((number) => earth.sender.request('moon', number, { timeout: 10_000 })));
  assert.deepEqual(replies.map((reply) => reply.payload), [{ twice: 2 }, { twice: 4 }, { twice: 6 }]);
  assert.equal(replies[0].sender.id, moon.id);
  await assert.rejects(earth.sender.request('moon', 'silence', { timeout: 50 }), { name: 'RecvTimeout' });
  await assert.rejects(earth.sender.request('mars', 1, { timeout: 10_000 }), { name: 'NoRoute' });
  // A type that it does not take, of which it tells the asker.
  const unknown = new ipmb.Typed('5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2d12', 1);
  await assert.rejects(earth.sender.request('moon', unknown, { timeout: 10_000 }), { name: 'NoRoute' });
  const left = assert.rejects(earth.sender.request('moon', 'silence', { timeout: 10_000 }), { name: 'PeerLost' });
  await new Promise((resolve) => setTimeout(resolve, 50));
  moon.close();
  await left;
  await serving;
  close();
});

test('a reply to what is no request goes back to its sender', async () => {
  const { earth, moon, close } = await pair();
  await earth.sender.send('moon', 'hello');
  const message = await moon.receiver.recv(10_000);
  assert.equal(await message.reply('hello yourself'), 1);
  assert.equal((await earth.receiver.recv(10_000)).payload, 'hello yourself');
  close();
});

test('who joins and leaves is told', async () => {
  const identifier = bus();
  const earth = await join({ identifier, label: ['earth'] }, 10_000);
  const events = earth.watch();
  const first = events.next();
  const moon = await join({ identifier, label: ['moon'] }, 10_000);
  const { value: came } = await first;
  assert.deepEqual([came.kind, came.peer.label], ['joined', ['moon']]);
  moon.close();
  const { value: went } = await events.next();
  assert.deepEqual([went.kind, went.peer.label, went.reason], ['left', ['moon'], 'closed']);
  const end = events.next();
  earth.close();
  assert.equal((await end).done, true);
});

test('a watch can be ended while it waits', { timeout: 10_000 }, async () => {
  const earth = await join({ identifier: bus(), label: ['earth'] }, 10_000);
  const events = earth.watch();
  const waiting = [events.next(), events.next()];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await events.return()).done, true);
  assert.deepEqual((await Promise.all(waiting)).map(({ done }) => done), [true, true]);
  assert.equal((await events.next()).done, true);
  earth.close();
});
