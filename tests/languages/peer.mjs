/** The peer of JavaScript: see `peers.py`. */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { inspect, isDeepStrictEqual } from 'node:util';

const { BytesMessage, join, MemoryRegion } = createRequire(import.meta.url)('../../crates/node');

const PATIENCE = 20_000;
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, place) => place));
const LARGE = Buffer.from(Array.from({ length: 3_000_000 }, (_, place) => place % 251));
const PAYLOADS = {
  bytes: new BytesMessage(513, BYTES),
  typed: { name: 'north', place: [1.5, 2] },
  object: new BytesMessage(513, BYTES),
  region: new BytesMessage(513, BYTES),
  large: new BytesMessage(1, LARGE),
};

const [identifier, label] = process.argv.slice(2);
const endpoint = await join({ identifier, label: [label] }, PATIENCE);
const { sender, receiver } = endpoint;
let readEnd;
let region;

const wrong = (what, value) => `wrong ${what}: ${inspect(value).slice(0, 100)}`;

/** A pipe's two ends, the first of which does not wait. JavaScript makes pipes with names only. */
function pipe() {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipmb-'));
  const name = path.join(folder, 'pipe');
  try {
    execFileSync('mkfifo', [name]);
    const read = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
    return [read, openSync(name, 'w')];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What comes out of a pipe, up to its end. */
async function drain(fd) {
  const parts = [];
  const room = Buffer.alloc(10);
  for (;;) {
    try {
      const count = readSync(fd, room);
      if (count === 0) return parts.join('');
      parts.push(room.toString('latin1', 0, count));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

const commands = {
  async send(what, to) {
    const objects = [];
    const memoryRegions = [];
    if (what === 'object') {
      const [read, write] = pipe();
      readEnd = read;
      objects.push(write);
    }
    if (what === 'region') {
      region = new MemoryRegion(4096);
      region.map()[0] = 7;
      memoryRegions.push(region);
    }
    const sent = await sender.send(to, PAYLOADS[what], [], { objects, memoryRegions });
    objects.forEach((fd) => closeSync(fd));
    return sent === 1 ? 'sent' : `sent to ${sent}`;
  },
  async leave(to) {
    const sent = await sender.send({ labelOp: to, ttl: null }, PAYLOADS.bytes);
    return sent === 0 ? 'sent' : `sent to ${sent}`;
  },
  async recv(what) {
    const message = await receiver.recv(PATIENCE);
    const { payload, objects, memoryRegions, redelivered } = message;
    if (!isDeepStrictEqual(payload, PAYLOADS[what])) return wrong('payload', payload);
    if (objects.length !== Number(what === 'object') || memoryRegions.length !== Number(what === 'region')) {
      return wrong('attachments', [objects, memoryRegions]);
    }
    for (const object of objects) writeSync(object.value(), 'x');
    for (const received of memoryRegions) {
      const view = received.map();
      if (view.length !== 4096 || view[0] !== 7) return wrong('region', view);
      view[1] = 8;
    }
    message.close();
    return redelivered ? 'ok redelivered' : 'ok';
  },
  async check(what) {
    if (what === 'region') return region.map()[1] === 8 ? 'ok' : wrong('region', region.map());
    const got = await drain(readEnd);
    closeSync(readEnd);
    return got === 'x' ? 'ok' : wrong('pipe', got);
  },
  async ask(to) {
    const { payload } = await sender.request(to, PAYLOADS.bytes, { timeout: PATIENCE });
    return isDeepStrictEqual(payload, new BytesMessage(514, BYTES)) ? 'ok' : wrong('reply', payload);
  },
  async answer() {
    const request = await receiver.recv(PATIENCE);
    if (!request.isRequest || !isDeepStrictEqual(request.payload, PAYLOADS.bytes)) return wrong('request', request);
    await request.reply(new BytesMessage(514, BYTES));
    return 'ok';
  },
};

const say = (line) => writeSync(1, `${line}\n`);

say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...given] = line.split(' ');
  say(await commands[command](...given));
}
endpoint.close();
