/** What keeps a process alive, and what ends it: what waits does, an open endpoint does not; joining that fails is told. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { bus, joined, program } from './support.mjs';

const { join } = ipmb;

test('an open endpoint does not keep the process alive', async () => {
  const { code, out, errors } = await program(joined(`await sender.send('me', 'unread');`));
  assert.deepEqual([code, out, errors], [0, 'over\n', '']);
});

test('a recv that waits does, until its message comes', async () => {
  const { code, out } = await program(
    joined(`
      receiver.recv().then((message) => console.log(message.payload));
      setTimeout(() => sender.send('me', 'came'), 200).unref();
    `),
  );
  // The timer alone would not have lasted.
  assert.deepEqual([code, out], [0, 'came\nover\n']);
});

test('a recv that waits is let go by its timeout, and by close', async () => {
  const { code, out } = await program(
    joined(`
      receiver.recv(100).catch((error) => {
        console.log(error.name);
        receiver.recv().catch((error) => console.log(error.name));
        setTimeout(() => receiver.close(), 50);
      });
    `),
  );
  assert.deepEqual([code, out], [0, 'RecvTimeout\nClosed\nover\n']);
});

test('for await keeps the process alive, and ends with close', async () => {
  const { code, out } = await program(
    joined(`
      setTimeout(() => { sender.send('me', 1); sender.send('me', 2); }, 100).unref();
      for await (const message of receiver) {
        console.log(message.payload);
        if (message.payload === 2) receiver.close();
      }
    `),
  );
  assert.deepEqual([code, out], [0, '1\n2\nover\n']);
});

test('a message that waits for room keeps the process alive until its timeout', async () => {
  const { code, out } = await program(
    joined(`
      const other = await ipmb.join({ identifier: endpoint.identifier, label: ['other'] }, 10_000);
      let full = 0;
      while (await sender.send('other', Buffer.alloc(16_000), [], { overflow: 'drop' }) === 1) full += 1;
      sender.send('other', Buffer.alloc(16_000), [], { timeout: 100 }).catch((error) => console.log(error.name, error.delivered));
    `),
  );
  assert.deepEqual([code, out], [0, 'SendTimeout 0\nover\n']);
});

test('process.exit ends what waits', async () => {
  const { code, signal } = await program(
    joined(`
      receiver.recv();
      ipmb.join({ identifier: 'nobody.' + process.pid, controllerAffinity: false }).then(() => {}, () => {});
      sender.request('me', 1).catch(() => {});
      setTimeout(() => process.exit(3), 100);
    `),
  );
  assert.deepEqual([code, signal], [3, null]);
});

test('an exception in what follows a message is the program’s', async () => {
  const { code, errors } = await program(
    joined(`
      setTimeout(() => sender.send('me', 1), 100);
      await receiver.recv();
      throw new RangeError('mine');
    `),
  );
  assert.equal(code, 1);
  assert.match(errors, /RangeError: mine/);
});

test('a failed joining is told to who waits, and else to the process', async () => {
  const nowhere = `{ identifier: 'nobody.${process.pid}', controllerAffinity: false }`;
  const awaited = await program(`
    await ipmb.join(${nowhere}, 50).then(() => console.log('joined'), (error) => console.log(error.name));
  `);
  assert.deepEqual([awaited.code, awaited.out], [0, 'JoinTimeout\n']);
  const received = await program(`
    const { sender, receiver } = ipmb.join(${nowhere}, 50);
    const told = await Promise.allSettled([receiver.recv(), sender.send('a', 1), sender.request('a', 1)]);
    console.log(told.map(({ reason }) => reason.name).join());
    await receiver.recv().catch((error) => console.log(error.name));
  `);
  assert.deepEqual([received.code, received.out], [0, 'JoinTimeout,JoinTimeout,JoinTimeout\nJoinTimeout\n']);
  const ignored = await program(`ipmb.join(${nowhere}, 50);`);
  assert.equal(ignored.code, 1);
  assert.match(ignored.errors, /JoinTimeout/);
});

test('a joining can be caught, and ended with', async () => {
  const alone = () => join({ identifier: bus(), label: [], controllerAffinity: false }, 10);
  assert.equal(await alone().catch((error) => error.name), 'JoinTimeout');
  let over = 0;
  const count = () => {
    over += 1;
  };
  await assert.rejects(alone().finally(count), { name: 'JoinTimeout' });
  (await join({ identifier: bus(), label: [] }, 10_000).finally(count)).close();
  assert.equal(over, 2);
});

test('joining that is given up ends at once', async () => {
  const { code, out, errors } = await program(`
    const endpoint = ipmb.join({ identifier: 'nobody.' + process.pid, controllerAffinity: false });
    const told = Promise.allSettled([endpoint.receiver.recv(), endpoint.sender.send('a', 1)]);
    setTimeout(() => endpoint.close(), 50);
    console.log((await told).map(({ reason }) => reason.name).join());
  `);
  assert.deepEqual([code, out, errors], [0, 'Closed,Closed\n', '']);
});
