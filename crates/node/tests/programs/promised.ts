/** Written against the promised interface alone. */

import { join, LabelOp, SelectorMode } from 'ipmb-js';

const options = { identifier: `com.example.promised.${process.pid}`, label: ['earth', 'blue'], token: 'secret', controllerAffinity: true };

async function main(): Promise<void> {
  const { sender, receiver } = join(options, 10_000);
  const op = new LabelOp('earth').and(new LabelOp('blue').or(new LabelOp(false).not()));
  console.log(op.toString());
  sender.send({ labelOp: op, mode: SelectorMode.Unicast, ttl: 0 }, { format: 5, data: Buffer.from('hello') }, [Buffer.from('shared')]);
  const { bytesMessage, objects, memoryRegions } = await receiver.recv(10_000);
  const format: number = bytesMessage.format;
  const data: Buffer = bytesMessage.data;
  console.log(format, data.toString(), objects.length);
  for (const region of memoryRegions) {
    const mapped: Buffer = region.map(0, -1);
    console.log(mapped.toString());
  }
  for (const object of objects) {
    const descriptor: number = object.value();
    console.log(descriptor);
  }
  sender.send({ labelOp: op, mode: SelectorMode.Multicast, ttl: 0 }, { format: 6, data: Buffer.from('last') }, []);
  for await (const message of receiver) {
    console.log(message.bytesMessage.format);
    receiver.close();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
