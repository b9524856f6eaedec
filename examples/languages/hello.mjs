/** The endpoint in JavaScript: see hello.py. Start it as: node hello.mjs BUS ME OTHERS... */

import { createRequire } from 'node:module';

const { BytesMessage, join } = createRequire(import.meta.url)('../../crates/node');

const [identifier, me, ...others] = process.argv.slice(2);
const { sender, receiver } = await join({ identifier, label: [me] }, 20_000);
for (const other of others) {
  await sender.send({ labelOp: other, ttl: 20_000 }, new BytesMessage(0, Buffer.from(`hello from ${me}`)));
}
for (let left = others.length; left > 0; left -= 1) {
  const { payload, sender: from } = await receiver.recv(20_000);
  const text = payload instanceof BytesMessage ? payload.data.toString() : payload;
  console.log(`${me} got '${text}' from ${from.label[0]}, process ${from.pid}`);
}
sender.close();
receiver.close();
