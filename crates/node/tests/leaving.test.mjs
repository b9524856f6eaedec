/** Whoever leaves while messages of its wait does not hold up its event loop, and does not lose them. */

import assert from 'node:assert/strict';
import test from 'node:test';
import ipmb from '../lib/index.js';
import { bus, program } from './support.mjs';

/** A process of its own that is controller; `act(child)` is called once it is. */
async function controller(identifier, act) {
  let acting;
  const ended = program(
    `await ipmb.join({ identifier: ${JSON.stringify(identifier)}, label: ['controller'] }, 10_000);
     console.log('joined');
     setInterval(() => {}, 60_000);`,
    { say: (_text, child) => (acting ??= act(child).finally(() => child.kill('SIGKILL'))) },
  );
  await ended;
  await acting;
}

/** One that may not become controller, and sends what has to wait. */
const leaver = (identifier) => `
  const end = await ipmb.join(
    { identifier: ${JSON.stringify(identifier)}, label: ['leaver'], controllerAffinity: false }, 10_000);
  if (await end.sender.send({ labelOp: 'late', ttl: 60_000 }, 'it waited') !== 0) throw new Error('it did not wait');
`;

async function late(identifier) {
  const end = await ipmb.join({ identifier, label: ['late'], controllerAffinity: false }, 10_000);
  try {
    return (await end.receiver.recv(10_000)).payload;
  } finally {
    end.close();
  }
}

test('close returns at once beside a controller that stands still', async () => {
  const identifier = bus();
  await controller(identifier, async (child) => {
    const { code, out, errors } = await program(`${leaver(identifier)}
      process.kill(${child.pid}, 'SIGSTOP');
      const start = performance.now();
      end.close();
      console.log(performance.now() - start < 800);
      setTimeout(() => process.kill(${child.pid}, 'SIGCONT'), 1500);
    `);
    assert.deepEqual([code, out, errors], [0, 'true\n', '']);
    assert.equal(await late(identifier), 'it waited');
  });
});

for (const [how, close] of [
  ['after close', 'end.close();'],
  ['by itself', ''],
]) {
  test(`the end of the process waits until the next controller has what waits: ${how}`, async () => {
    const identifier = bus();
    let keeper;
    await controller(identifier, async (child) => {
      keeper = await ipmb.join({ identifier, label: ['keeper'] }, 10_000);
      const { code, errors } = await program(
        `${leaver(identifier)}
        process.kill(${child.pid}, 'SIGSTOP');
        ${close}
        console.log('over');`,
        { say: () => setTimeout(() => child.kill('SIGKILL'), 100) },
      );
      assert.deepEqual([code, errors], [0, '']);
      assert.equal(await late(identifier), 'it waited');
      assert.equal(keeper.stats().dropped, 0);
    }).finally(() => keeper?.close());
  });
}
