/** One end of a measurement, in JavaScript: rate BUS LABEL; see `__main__.py`. */

import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { BytesMessage, join } = createRequire(import.meta.url)('../../crates/node');

const [identifier, label] = process.argv.slice(2);
const endpoint = await join({ identifier, label: [label] }, 20_000);
const say = (line) => writeSync(1, `${line}\n`);

say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...given] = line.split(' ');
  if (command === 'send') {
    const [to, count, size] = given;
    const payload = new BytesMessage(0, Buffer.alloc(Number(size)));
    for (let turn = 0; turn < Number(count); turn += 1) await endpoint.sender.send(to, payload);
    say(0);
  } else {
    await endpoint.receiver.recv(60_000);
    const start = performance.now();
    for (let turn = 1; turn < Number(given[0]); turn += 1) await endpoint.receiver.recv(60_000);
    say((performance.now() - start) / 1000);
  }
}
endpoint.close();
