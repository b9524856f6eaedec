/** Each worker has an environment of its own: it may come and go, be terminated in the middle, and be the only one there is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import ipmb from '../lib/index.js';
import { bus, index, program, until } from './support.mjs';

const { join } = ipmb;

/** A worker that runs a program with `ipmb`, `identifier` and `parentPort`. */
function worker(identifier, source) {
  const text = `
    const ipmb = require(${JSON.stringify(index)});
    const { parentPort } = require('node:worker_threads');
    const identifier = ${JSON.stringify(identifier)};
    (async () => {${source}})();`;
  return new Worker(text, { eval: true });
}

const said = (thread, what) =>
  new Promise((resolve, reject) => {
    thread.on('message', (message) => message === what && resolve());
    thread.on('error', reject);
  });

const ended = (thread) => new Promise((resolve) => thread.on('exit', resolve));

test('workers and the main thread talk to each other', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['main'] }, 10_000);
  const threads = ['a', 'b', 'c'].map((label) =>
    worker(
      identifier,
      `const { sender, receiver } = await ipmb.join({ identifier, label: ['${label}'] }, 10_000);
       await sender.send('main', 'here');
       for await (const message of receiver) {
         if (message.payload === 'end') return receiver.close();
         await message.reply('${label}' + message.payload);
       }`,
    ),
  );
  for (const _ of threads) assert.equal((await me.receiver.recv(10_000)).payload, 'here');
  for (const label of ['a', 'b', 'c']) {
    assert.equal((await me.sender.request(label, 1, { timeout: 10_000 })).payload, `${label}1`);
  }
  const exits = Promise.all(threads.map(ended));
  for (const label of ['a', 'b', 'c']) me.sender.send(label, 'end');
  assert.deepEqual(await exits, [0, 0, 0]);
  await until(() => me.peers().length === 0);
  me.close();
});

test('a worker is terminated in the middle of everything', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['main'] }, 10_000);
  for (let round = 0; round < 10; round += 1) {
    const thread = worker(
      identifier,
      `const { sender, receiver } = await ipmb.join({ identifier, label: ['worker'] }, 10_000);
       const region = new ipmb.MemoryRegion(1 << 20);
       const buffers = [region.map(), region.map(5)];
       await sender.send('main', 'here', [region]);
       receiver.recv();
       sender.request({ labelOp: 'nobody', ttl: null }, 1);
       ipmb.join({ identifier: 'nobody.' + process.pid, controllerAffinity: false });
       for (let i = 0; i < 200; i += 1) sender.send('main', Buffer.alloc(10_000));
       // Threads of Node's that work on the memory when the end comes.
       const filled = new ipmb.MemoryRegion(64 << 20);
       require('node:crypto').randomFill(filled.map(), () => {});
       require('node:zlib').deflate(filled.clone().map(), () => {});
       parentPort.postMessage('ready');
       ${round % 2 ? 'for (;;) buffers[0][0] += 1;' : ''}`,
    );
    await said(thread, 'ready');
    const message = await me.receiver.recv(10_000);
    assert.equal(message.payload, 'here');
    await thread.terminate();
    // What it had sent is there, its regions are held by their receivers alone, and its endpoint is gone.
    const [region] = message.memoryRegions;
    await until(() => region.refCount === 1);
    region.map()[0] = 1;
    await until(() => me.peers().length === 0);
    for (;;) if (!(await me.receiver.recv(0).catch(() => undefined))) break;
  }
  me.close();
});

test('who asks a worker that is terminated gets an error that says so', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['main'] }, 10_000);
  const become = new Set();
  for (let round = 0; round < 40; round += 1) {
    const thread = worker(
      identifier,
      `const { receiver } = await ipmb.join({ identifier, label: ['worker'] }, 10_000);
       parentPort.postMessage('ready');
       for await (const message of receiver) await message.reply(1);`,
    );
    await said(thread, 'ready');
    // Large ones and values too: the environment is asked for a buffer for them, and no longer gives any.
    const asked = ['text', { a: 1 }, Buffer.alloc(10_000), Buffer.alloc(300_000)];
    const answers = [];
    let gone = false;
    const asking = (async () => {
      while (!gone) {
        for (const payload of asked) {
          const answer = me.sender.request('worker', payload, { timeout: 10_000 });
          answers.push(answer.then(() => become.add('replied'), (error) => become.add(error.name)));
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await until(() => answers.length > 40);
    await thread.terminate();
    gone = true;
    await asking;
    await Promise.all(answers);
  }
  become.delete('NoRoute');
  assert.deepEqual([...become].sort(), ['PeerLost', 'replied']);
  me.close();
});

test('the last worker that uses it may end while the core goes on', async () => {
  const { code, signal, out, errors } = await program(`
    import { Worker } from 'node:worker_threads';
    const source = \`
      const ipmb = require(${JSON.stringify(index)});
      ipmb.join({ identifier: 'com.example.node.last.' + process.pid, label: ['w'] }, 10_000).then(async ({ sender, receiver }) => {
        await sender.send('w', 'x'.repeat(100_000));
        await receiver.recv();
        receiver.close();
      });
    \`;
    // The main thread loads it too; a process whose only users are workers is started below.
    for (let i = 0; i < 3; i += 1) {
      const worker = new Worker(source, { eval: true, execArgv: [] });
      await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    console.log('all gone');
  `.replace('import ipmb', '// '));
  assert.deepEqual([code, signal, out, errors], [0, null, 'all gone\n', '']);
});

test('two environments in one process are two members', async () => {
  const identifier = bus();
  const me = await join({ identifier, label: ['main'] }, 10_000);
  const thread = worker(
    identifier,
    `const { sender } = await ipmb.join({ identifier, label: ['worker'] }, 10_000);
     sender.send('main', { pid: process.pid });
     setTimeout(() => {}, 200);`,
  );
  const { payload, sender } = await me.receiver.recv(10_000);
  assert.equal(payload.pid, process.pid);
  assert.equal(sender.pid, process.pid);
  assert.notEqual(sender.id, me.id);
  await ended(thread);
  me.close();
});
