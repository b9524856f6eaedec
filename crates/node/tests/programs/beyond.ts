/** What goes beyond the promised interface, with every type written out. */

import {
  type Abortable,
  type BytesMessage,
  DecodeError,
  type Endpoint,
  type EndpointInfo,
  Float,
  IpmbError,
  join,
  LabelOp,
  MemoryRegion,
  MemoryRegistry,
  type Message,
  Object as BusObject,
  type Options,
  type PeerEvent,
  type Receiver,
  RecvTimeout,
  type Selector,
  type Sender,
  SendTimeout,
  type Stats,
  Typed,
  UUID,
} from 'ipmb-js';

const type = new UUID('5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2d21');

async function serve(receiver: Receiver): Promise<void> {
  for await (const message of receiver) {
    if (message.isRequest) await message.reply({ got: message.payload });
  }
}

async function main(): Promise<void> {
  const options: Options = { identifier: `com.example.beyond.${process.pid}`, label: ['earth'], types: [type] };
  const endpoint: Endpoint = await join(options, 10_000);
  const moon = await join({ ...options, label: ['moon'] }, 10_000);
  const serving: Promise<void> = serve(moon.receiver);
  const sender: Sender = endpoint.sender;
  const selector: Selector = { labelOp: new LabelOp('moon').or('mars'), ttl: null };
  const reply: Message = await sender.request(selector, new Typed(type, [new Float(1), 2n, new Date(0)]), { timeout: 10_000 });
  const from: EndpointInfo = reply.sender;
  const raw: BytesMessage = reply.bytesMessage;
  console.log(from.label.join(), raw.data.length > 0, reply.redelivered, typeof reply.payload);
  const registry = new MemoryRegistry();
  const region: MemoryRegion = registry.alloc(100, 'tag', () => console.log('free'));
  const object = new BusObject(0);
  const reached: number = await sender.send('earth', null, [region, Buffer.from('copied')], {
    objects: [object, 1, { fd: 2 }],
    memoryRegions: [region.clone()],
    timeout: 1000,
    overflow: 'block',
    signal: null,
  });
  const waiting: Abortable = { signal: AbortSignal.timeout(10_000) };
  const message = await endpoint.receiver.recv(null, waiting);
  console.log(reached, message.objects.length, message.memoryRegions.length, message.selector.labelOp.toString());
  message.close();
  object.close();
  const stats: Stats = endpoint.stats();
  console.log(stats.sent, stats.droppedByReason['full']);
  const events: AsyncIterableIterator<PeerEvent> = endpoint.watch();
  const left = events.next();
  moon.close();
  console.log(((await left).value as PeerEvent).kind);
  await serving;
  try {
    await endpoint.receiver.recv(0);
  } catch (error) {
    if (error instanceof SendTimeout) console.log(error.delivered);
    else if (error instanceof DecodeError) console.log(error.sender?.pid);
    else if (error instanceof RecvTimeout && error instanceof IpmbError) console.log(error.code);
    else throw error;
  }
  endpoint.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
