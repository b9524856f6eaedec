/** What the tests in Python talk to: sends everything back to whoever sent it, and does a few things when told to. */

import { createRequire } from 'node:module';

const { Object: BusObject, join, MemoryRegion } = createRequire(import.meta.url)('../../crates/node');

const [identifier] = process.argv.slice(2);
const endpoint = await join({ identifier, label: ['node', 'echo'] }, 20_000);

const orders = {
  /** Asks back, and sends on what comes. */
  async ask({ label, payload }) {
    const reply = await endpoint.sender.request(label, payload, { timeout: 20_000 });
    return ['reply', reply.payload];
  },
  /** Leaves a message for somebody who is not there yet. */
  async leave({ label, payload }) {
    return ['left', await endpoint.sender.send({ labelOp: label, ttl: null }, payload)];
  },
  /** Makes memory, and gives it away. */
  async make({ text }) {
    const region = new MemoryRegion(4096);
    region.map().write(text);
    await endpoint.sender.send('python', 'made', [region], { objects: [new BusObject(0)] });
    return ['sent', region.size];
  },
  async large({ size }) {
    return ['large', Buffer.alloc(size, 'abc')];
  },
  end() {
    endpoint.close();
    return undefined;
  },
};

for await (const message of endpoint.receiver) {
  const { payload, objects, memoryRegions } = message;
  const order = payload?.order && orders[payload.order];
  if (order) {
    const result = await order(payload);
    if (result) await message.reply(result);
    continue;
  }
  for (const region of memoryRegions) region.map().write('seen by node');
  await message.reply(payload, { objects, memoryRegions });
}
