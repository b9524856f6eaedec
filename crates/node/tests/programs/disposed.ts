/** What `using` closes, as TypeScript has it. */

import { type Endpoint, join, MemoryRegion, Object as BusObject } from 'ipmb-js';

async function main(): Promise<void> {
  await using endpoint: Endpoint = await join({ identifier: `com.example.disposed.${process.pid}`, label: ['me'] }, 10_000);
  {
    using region = new MemoryRegion(10);
    using object = new BusObject(0);
    await endpoint.sender.send('me', 1, [region], { objects: [object] });
  }
  {
    using message = await endpoint.receiver.recv(10_000);
    console.log(message.payload, message.memoryRegions[0]?.refCount);
  }
  await using events = endpoint.watch();
  await using moon = await join({ identifier: endpoint.identifier, label: ['moon'] }, 10_000);
  for await (const { kind, peer } of events) {
    console.log(kind, peer.id === moon.id);
    break;
  }
  const { sender, receiver } = moon;
  using sending = sender;
  using receiving = receiver;
  console.log(sending.closed, receiving.closed);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
