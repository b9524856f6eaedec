/** Nothing leaks, and nothing is let go while somebody has it. Needs --expose-gc. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import ipmb from '../lib/index.js';
import { bus, collect, program, until } from './support.mjs';

const { join, MemoryRegion } = ipmb;

/** What the process holds: descriptors, maps of regions, threads, memory. */
function held() {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n').filter((line) => line.includes('memfd:ipmb'));
  const [, rss] = readFileSync('/proc/self/statm', 'utf8').split(' ');
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    maps: maps.length,
    threads: readdirSync('/proc/self/task').length,
    heap: process.memoryUsage().heapUsed,
    resident: Number(rss) * 4096,
  };
}

/** Holds no more after many rounds than after a few. */
async function grows(round, count, { bytes = 8 << 20 } = {}) {
  for (let index = 0; index < count / 10; index += 1) await round(index);
  await collect();
  const before = held();
  for (let index = 0; index < count; index += 1) await round(index);
  await collect();
  const after = held();
  assert.ok(after.descriptors <= before.descriptors + 2, `descriptors: ${before.descriptors}, then ${after.descriptors}`);
  assert.ok(after.maps <= before.maps + 2, `maps: ${before.maps}, then ${after.maps}`);
  assert.equal(after.threads, before.threads);
  assert.ok(after.heap - before.heap < bytes, `heap: ${before.heap}, then ${after.heap}`);
  assert.ok(after.resident - before.resident < 4 * bytes, `resident: ${before.resident}, then ${after.resident}`);
}

test('10,000 messages of every kind', { timeout: 300_000 }, async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const { sender, receiver } = endpoint;
  const kinds = [
    () => sender.send('me', { index: 1, list: [1, 'two', null] }),
    () => sender.send('me', 'text'),
    () => sender.send('me', { format: 1, data: Buffer.alloc(100) }),
    () => sender.send('me', Buffer.alloc(70_000)),
    () => sender.send('me', 'with a region', [Buffer.alloc(4096)]),
    () => sender.send('me', 'with an object', [], { objects: [0] }),
    () => sender.send({ labelOp: new ipmb.LabelOp('me').or('you'), mode: 1, ttl: 5 }, 1),
  ];
  await grows(
    async (index) => {
      assert.equal(await kinds[index % kinds.length](), 1);
      const message = await receiver.recv(10_000);
      if (message.memoryRegions.length) message.memoryRegions[0].map().fill(1);
    },
    10_000,
  );
  endpoint.close();
});

test('descriptors that nobody closes are collected in time', { timeout: 120_000 }, async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  let most = 0;
  for (let index = 0; index < 10_000; index += 1) {
    await endpoint.sender.send('me', index, [Buffer.alloc(10)], { objects: [0] });
    await endpoint.receiver.recv(10_000);
    if (index % 50 === 0) most = Math.max(most, held().descriptors);
  }
  assert.ok(most < 5000, `${most} descriptors at a time`);
  endpoint.close();
});

test('1,000 requests', { timeout: 120_000 }, async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  await grows(async () => {
    const reply = endpoint.sender.request('me', 1, { timeout: 10_000 });
    await (await endpoint.receiver.recv(10_000)).reply(2);
    assert.equal((await reply).payload, 2);
  }, 1000);
  endpoint.close();
});

test('100 endpoints, closed', { timeout: 120_000 }, async () => {
  const identifier = bus();
  const first = await join({ identifier, label: ['first'] }, 10_000);
  await grows(async () => {
    const endpoint = await join({ identifier, label: ['me'] }, 10_000);
    await first.sender.send('me', 'hello');
    await endpoint.receiver.recv(10_000);
    endpoint.close();
    await until(() => first.peers().length === 0);
  }, 100);
  first.close();
});

test('endpoints that nobody has any more leave the bus', async () => {
  const identifier = bus();
  const first = await join({ identifier, label: ['first'] }, 10_000);
  await (async () => {
    for (let index = 0; index < 10; index += 1) await join({ identifier, label: ['forgotten'] }, 10_000);
  })();
  await until(async () => {
    await collect();
    return first.peers().length === 0;
  });
  first.close();
});

test('a recv that waits keeps its endpoint', async () => {
  const identifier = bus();
  const first = await join({ identifier, label: ['first'] }, 10_000);
  const waiting = (async () => (await join({ identifier, label: ['second'] }, 10_000)).receiver.recv(10_000))();
  await until(() => first.peers().length === 1);
  for (let round = 0; round < 5; round += 1) await collect();
  assert.equal(await first.sender.send('second', 'still there'), 1);
  assert.equal((await waiting).payload, 'still there');
  first.close();
});

test('a buffer keeps its memory, and lets go of it', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const region = new MemoryRegion(1 << 20);
  let buffer = await (async () => {
    await endpoint.sender.send('me', null, [region]);
    const message = await endpoint.receiver.recv(10_000);
    const view = message.memoryRegions[0].map(1000, 1000);
    message.close();
    return view;
  })();
  for (let round = 0; round < 5; round += 1) await collect();
  region.map(1000, 4).write('here');
  assert.equal(buffer.toString('latin1', 0, 4), 'here');
  assert.equal(region.refCount, 2, 'its maker, and who received it');
  region.close();
  buffer.write('mine');
  assert.equal(buffer.toString('latin1', 0, 4), 'mine');
  const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes('memfd:ipmb-region');
  assert.ok(mapped());
  buffer = undefined;
  await until(async () => {
    await collect();
    return !mapped();
  });
  endpoint.close();
});

test('buffers of shared memory are copied to others, never transferred', () => {
  const region = new MemoryRegion(4096);
  const buffer = region.map();
  const { port1, port2 } = new MessageChannel();
  const { buffer: memory } = buffer;
  // Older versions of Node copy what cannot be transferred, newer ones throw.
  for (const give of [
    () => structuredClone(memory, { transfer: [memory] }),
    () => port1.postMessage(memory, [memory]),
    () => memory.transfer?.(),
  ]) {
    try {
      give();
    } catch (error) {
      assert.ok(error instanceof Error);
    }
    if (give.toString().includes('transfer?.')) continue;
    assert.equal(buffer.length, 4096);
    region.map()[0] = 1;
    assert.equal(buffer[0], 1);
  }
  port1.close();
  port2.close();
});

test('a mapped buffer that is posted arrives as a copy, and its memory is let go once', async () => {
  const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes('memfd:ipmb-region');
  const source = "const { parentPort } = require('node:worker_threads');";
  const thread = new Worker(`${source} parentPort.on('message', (got) => parentPort.postMessage(got.fill(1)));`, { eval: true });
  await (async () => {
    const region = new MemoryRegion(1 << 20);
    const buffer = region.map();
    buffer.write('here');
    const copies = [structuredClone(buffer)];
    for (const transfer of [[], [buffer.buffer]]) {
      try {
        thread.postMessage(buffer, transfer);
        copies.push(await new Promise((resolve) => thread.once('message', resolve)));
      } catch (error) {
        assert.equal(error.name, 'DataCloneError', error.stack);
      }
    }
    assert.ok(copies.length > 1);
    for (const copy of copies) copy.fill(2);
    assert.equal(region.read(0, 4).toString(), 'here');
    buffer.write('mine');
    assert.equal(region.read(0, 4).toString(), 'mine');
    region.close();
    await collect();
    assert.equal(buffer.toString('latin1', 0, 4), 'mine');
  })();
  await thread.terminate();
  await until(async () => {
    await collect();
    return !mapped();
  });
});

test('a mapped buffer that is taken over within a thread leaves the region its memory', async () => {
  // Before Node 22 this is behind a flag, where it is there at all.
  const flag = '--harmony-rab-gsab-transfer';
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' }).includes(`${flag} `);
  const { code, signal, out, errors } = await program(`
    import { readFileSync } from 'node:fs';
    const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes('memfd:ipmb-region');
    const collect = async () => { for (let i = 0; i < 5; i += 1) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)); } };
    const region = new ipmb.MemoryRegion(1 << 20);
    let memory = region.map().buffer;
    if (memory.transfer) {
      memory = memory.transfer();
      Buffer.from(memory).write('moved');
      if (region.map(0, 5).toString() !== 'moved') console.log('lost');
      region.close();
      await collect();
      if (Buffer.from(memory, 0, 5).toString() !== 'moved') console.log('freed');
      memory = undefined;
      await collect();
      if (mapped()) console.log('kept');
    }
    console.log('over');
  `, { flags: ['--expose-gc', ...(known ? [flag] : [])] });
  assert.deepEqual([code, signal, out, errors], [0, null, 'over\n', '']);
});

test('memory that a thread of Node works on is not taken away from it', async () => {
  const { randomFill } = await import('node:crypto');
  for (let round = 0; round < 20; round += 1) {
    const region = new MemoryRegion(8 << 20);
    const filled = new Promise((resolve) => randomFill(region.map(), resolve));
    region.close();
    globalThis.gc();
    await collect();
    assert.equal(await filled, null);
  }
});

test('large payloads are let go when they are collected', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['me'] }, 10_000);
  const { grown } = { grown: held().resident };
  for (let index = 0; index < 300; index += 1) {
    await me.sender.send('me', Buffer.alloc(1 << 20, index));
    const { payload } = await me.receiver.recv(10_000);
    assert.equal(payload[1000], index % 256);
    if (index % 20 === 0) await collect();
  }
  await collect();
  assert.ok(held().resident - grown < 150 << 20, `${held().resident - grown} bytes more`);
  me.close();
});

test('what was never sent keeps no descriptor until it is collected', { timeout: 60_000 }, async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const { sender, receiver } = endpoint;
  const full = await join({ identifier: endpoint.identifier, label: ['full'] }, 10_000);
  while (await sender.send('full', Buffer.alloc(16_000), [], { overflow: 'drop' }));
  const asked = sender.request('me', 'a question').catch(() => {});
  const question = await receiver.recv(10_000);
  const region = new MemoryRegion(10);
  const some = { objects: [0, 0], memoryRegions: [region] };
  const alone = () => join({ identifier: bus(), label: ['alone'], controllerAffinity: false }, 20);

  /** Descriptors there are more after messages that are all refused. */
  async function left(error, ...acts) {
    const before = held().descriptors;
    for (const act of acts) {
      const all = await Promise.allSettled(Array.from({ length: 10 }, act));
      assert.deepEqual(all.map(({ reason }) => reason?.name), Array(10).fill(error), act.toString());
    }
    const more = held().descriptors - before;
    assert.ok(more < 10, `${more} descriptors: ${acts}`);
  }

  await left('RangeError', () => sender.send('me', 1, [Buffer.alloc(1), Buffer.alloc(0)], some));
  await left('TypeError', () => sender.request('me', 1, { objects: [0, new Date()] }));
  await left('TypeError', () => question.reply(1, { objects: [0, 0], memoryRegions: [{}] }));
  await left('JoinTimeout', () => alone().sender.send('me', 1, [], some), () => alone().sender.request('me', 1, some));
  const first = sender.send('full', Buffer.alloc(16_000)).catch(() => {});
  await left('SendTimeout', () => sender.send('full', 1, [region], { objects: [0], timeout: 0 }));
  setTimeout(() => sender.close(), 20);
  await left('Closed', () => sender.send('full', 1, [region], some));
  await left('Closed', () => sender.send('me', 1, [], some), () => sender.request('me', 1, some), () => question.reply(1, some));
  await Promise.all([first, asked, endpoint.close(), full.close()]);
});

test('one that finds no memory costs no other, and who asked by it is told', { timeout: 60_000 }, async () => {
  const large = 400 << 20;
  const identifier = bus();
  const endpoint = await join({ identifier, label: ['short'] }, 10_000);
  const sent = program(`
    const { sender } = await ipmb.join({ identifier: '${identifier}', label: ['sender'] }, 10_000);
    const payload = Buffer.alloc(${large});
    for (const each of [payload, 'one', 'two']) await sender.send('short', each);
    await sender.request('short', payload, { timeout: 20_000 }).catch((error) => console.log(error.name, error.message));
  `, { timeout: 50_000 });
  const region = new MemoryRegion(large);
  const size = Number(/VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
  const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:`]);
  limit(size + large / 2);
  try {
    await assert.rejects(endpoint.receiver.recv(20_000), { name: 'SystemError' });
    for (const text of ['one', 'two']) {
      const message = await endpoint.receiver.recv(20_000);
      assert.deepEqual([message.payload, message.sender.label], [text, ['sender']]);
    }
    await assert.rejects(endpoint.receiver.recv(20_000), { name: 'SystemError' });
    assert.throws(() => region.read(), { name: 'SystemError', message: /no memory for a copy of 419430400 bytes/ });
  } finally {
    limit('unlimited');
  }
  const { code, out, errors } = await sent;
  assert.deepEqual([code, errors], [0, '']);
  assert.match(out, /^RemoteError .*no memory/);
  endpoint.close();
});
