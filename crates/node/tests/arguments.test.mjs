/** Wrong arguments are errors that name them, whatever they are; nothing that a program gives ends the process. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { native } from '../lib/native.js';
import { bus, collect, program, until } from './support.mjs';

const { join, LabelOp, MemoryRegion, MemoryRegistry, SelectorMode } = ipmb;

const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
const { sender, receiver } = endpoint;
test.after(() => endpoint.close());

/** What nobody means. */
const STRANGE = [undefined, null, true, 0, -1, 1.5, NaN, Infinity, 2 ** 53, 10n, '', 'x'.repeat(300), '\ud800', Symbol('s'), {}, [],
  [null], () => {}, new Map(), new Date(NaN), Buffer.alloc(0), new Proxy({}, {}), Object.create(null), new (class Odd {})(), globalThis,
  Object.create(LabelOp.prototype), Object.create(MemoryRegion.prototype), Object.create(ipmb.Object.prototype)];

const named = (name, message) => (error) => {
  assert.equal(error.name, name, error.stack);
  assert.match(error.message, message);
  return true;
};

test('each argument is named, with what to give', async () => {
  const [one, shut, gone] = [new MemoryRegion(1), new MemoryRegion(1), new ipmb.Object(0)];
  shut.close();
  gone.close();
  const cases = [
    [() => join(), 'TypeError', /^options is undefined: give \{identifier/],
    [() => join({}), 'TypeError', /^identifier is undefined: give a string/],
    [() => join({ identifier: 'a', lable: ['x'] }), 'TypeError', /^options has "lable": give only identifier, label, token/],
    [() => join({ identifier: '' }), 'RangeError', /identifier is empty/],
    [() => join({ identifier: 'a'.repeat(300) }), 'RangeError', /identifier/],
    [() => join({ identifier: 'a\0b' }), 'RangeError', /identifier/],
    [() => join({ identifier: 'a', label: 'earth' }), 'TypeError', /^label is a string: give an array/],
    [() => join({ identifier: 'a', label: ['ok', 5] }), 'TypeError', /^label\[1\] is a number/],
    [() => join({ identifier: 'a', label: [''] }), 'RangeError', /label element is empty/],
    [() => join({ identifier: 'a', token: 5 }), 'TypeError', /^token is a number: give a string/],
    [() => join({ identifier: 'a', controllerAffinity: 1 }), 'TypeError', /^controllerAffinity is a number/],
    [() => join({ identifier: 'a', users: [-1] }), 'RangeError', /^users\[0\] is -1/],
    [() => join({ identifier: 'a', types: ['no'] }), 'RangeError', /^uuid is no: give 32/],
    [() => join({ identifier: 'a' }, -1), 'RangeError', /^timeout is -1/],
    [() => join({ identifier: 'a' }, '1'), 'TypeError', /^timeout is a string/],
    [() => new LabelOp(), 'TypeError', /^value is undefined/],
    [() => new LabelOp(''), 'RangeError', /is empty/],
    [() => LabelOp.parse('a &'), 'RangeError', /./],
    [() => new LabelOp('a').and(5), 'TypeError', /^other is a number: give a LabelOp/],
    [() => sender.send({ labelOp: 5 }, 1), 'TypeError', /^labelOp is a number: give a LabelOp/],
    [() => sender.send(), 'TypeError', /^selector is undefined/],
    [() => sender.send({}, 1), 'TypeError', /without labelOp/],
    [() => sender.send({ labelOp: 'a', mode: 2 }, 1), 'RangeError', /^mode is 2/],
    [() => sender.send({ label_op: 'a' }, 1), 'TypeError', /^selector has "label_op": give only labelOp, mode, ttl$/],
    [() => sender.send({ labelOp: 'a', tll: 3 }, 1), 'TypeError', /^selector has "tll": give only labelOp, mode, ttl$/],
    [() => sender.request({ labelOp: 'a', TTL: 3 }, 1), 'TypeError', /^selector has "TTL": give only/],
    [() => sender.send(['a'], 1), 'TypeError', /^selector is an array: give \{labelOp, mode, ttl\}/],
    [() => sender.send({ labelOp: 'a', ttl: NaN }, 1), 'RangeError', /^ttl is NaN/],
    [() => sender.send('a', Symbol('s')), 'TypeError', /^payload is a symbol/],
    [() => sender.send('a', { deep: [{ in: undefined }] }), 'TypeError', /^payload\["deep"\]\[0\]\["in"\] is undefined: give null/],
    [() => sender.send('a', { deep: [new Set()] }), 'TypeError', /^payload\["deep"\]\[0\] is a Set/],
    [() => sender.send('a', [2n ** 64n]), 'RangeError', /^payload\[0\] is a bigint out of range/],
    [() => sender.send('a', ['\udc00']), 'RangeError', /^payload\[0\] is a string with half a surrogate/],
    [() => sender.send('a', new Date(NaN)), 'RangeError', /^payload is an invalid Date/],
    [() => sender.send('a', { format: 65536, data: Buffer.alloc(1) }), 'RangeError', /^format is 65536/],
    [() => sender.send('a', 1, 'b'), 'TypeError', /^buffers is a string/],
    [() => sender.send('a', 1, [5]), 'TypeError', /^buffers\[0\] is a number: give a Buffer, .* or a MemoryRegion/],
    [() => sender.send('a', 1, [shut]), 'RangeError', /^buffers\[0\] is a MemoryRegion that is closed/],
    [() => sender.send('a', 1, [], { memoryRegions: [shut] }), 'RangeError', /^memoryRegions\[0\] is a MemoryRegion that is closed/],
    [() => sender.send('a', 1, [], { objects: [gone] }), 'RangeError', /^objects\[0\] is an Object that is closed/],
    [() => sender.send('a', 1, [Buffer.alloc(0)]), 'RangeError', /^buffers\[0\] is empty/],
    [() => sender.send('a', 1, [], 5), 'TypeError', /^options is a number/],
    [() => sender.send('a', 1, [], { timout: 5 }), 'TypeError', /^options has "timout": give only timeout, objects/],
    [() => sender.request('a', 1, { overflow: 'drop' }), 'TypeError', /^options has "overflow": give only timeout, objects/],
    [() => sender.send('a', 1, [], { overflow: 'no' }), 'RangeError', /^overflow is no/],
    [() => sender.send('a', 1, [], { timeout: {} }), 'TypeError', /^timeout is an object/],
    [() => sender.send('a', 1, [], { objects: [0, 1e9] }), 'RangeError', /^objects\[1\] is 1000000000/],
    [() => sender.send('a', 1, [], { objects: [new Date()] }), 'TypeError', /^objects\[0\] is a Date/],
    [() => sender.send('a', 1, [], { objects: Array(1013).fill(0) }), 'RangeError', /objects holds more than 1012/],
    [() => sender.send('a', 1, Array(254).fill(Buffer.alloc(1))), 'RangeError', /^buffers holds more than 253/],
    [() => sender.send('a', 1, Array(254).fill(one)), 'RangeError', /^buffers holds more than 253/],
    [() => sender.send('a', 1, [], { memoryRegions: Array(254).fill(one) }), 'RangeError', /^memoryRegions holds more than 253/],
    [() => sender.send('a', 1, [one], { memoryRegions: Array(253).fill(one) }), 'RangeError', /^buffers with memoryRegions holds more/],
    [() => sender.send('a', 1, [], { memoryRegions: [{}] }), 'TypeError', /^memoryRegions\[0\] is an object/],
    [() => sender.request({ labelOp: 'a', mode: SelectorMode.Multicast }, 1), 'RangeError', /one endpoint replies/],
    [() => receiver.recv('1'), 'TypeError', /^timeout is a string/],
    [() => new MemoryRegion(0), 'RangeError', /^size is 0/],
    [() => new MemoryRegion(2 ** 50), 'SystemError', /./],
    [() => new MemoryRegion('1'), 'TypeError', /^size is a string/],
    [() => new MemoryRegion(10).map(11), 'RangeError', /^offset is 11/],
    [() => new MemoryRegion(10).map(5, 6), 'RangeError', /^size is 6/],
    [() => new MemoryRegion(10).map(-1), 'RangeError', /^offset is -1/],
    [() => new MemoryRegion(10).map(4, -2), 'RangeError', /^size is -2: give a whole number, 0 to 6, or -1: to the end$/],
    [() => new MemoryRegion(10).read(4, 7), 'RangeError', /^size is 7: give a whole number, 0 to 6, or -1: to the end$/],
    [() => new ipmb.Object(-1), 'RangeError', /^fd is -1/],
    [() => new ipmb.Object(1e9), 'RangeError', /^fd is 1000000000: give the number of a descriptor that is open/],
    [() => new ipmb.Object('0'), 'TypeError', /^fd is a string/],
    [() => new MemoryRegistry().alloc(1, 5), 'TypeError', /^tag is a number/],
    [() => new MemoryRegistry().alloc(1, null, 5), 'TypeError', /^free is a number/],
    [() => new ipmb.UUID('x'), 'RangeError', /^uuid is x/],
    [() => new ipmb.BytesMessage(-1, Buffer.alloc(0)), 'RangeError', /^format is -1/],
    [() => new ipmb.Float('1'), 'TypeError', /^value is a string/],
  ];
  for (const [act, name, message] of cases) {
    await assert.rejects(async () => act(), named(name, message), act.toString());
  }
});

test('lists that hold themselves, and deep ones', async () => {
  const list = [];
  list.push(list);
  await assert.rejects(sender.send('me', list), named('RangeError', /nested more than 200 deep/));
  const map = new Map();
  map.set('self', map);
  await assert.rejects(sender.send('me', map), named('RangeError', /nested more than 200 deep/));
  let deep = [];
  for (let depth = 1; depth < 200; depth += 1) deep = [deep];
  assert.equal(await sender.send('me', deep), 1);
  assert.deepEqual((await receiver.recv(10_000)).payload, deep);
  await assert.rejects(sender.send('me', [deep]), named('RangeError', /nested more than 200 deep/));
});

test('what is strange is an error or is sent, in every place', { timeout: 120_000 }, async () => {
  const acts = [
    (value) => join(value, 0).close(),
    (value) => join({ identifier: value, label: [] }, 0).close(),
    (value) => join({ identifier: bus(), label: value }, 0).close(),
    (value) => join({ identifier: bus(), label: [value] }, 0).close(),
    (value) => join({ identifier: bus(), token: value }, 0).close(),
    (value) => join({ identifier: bus(), users: [value] }, 0).close(),
    (value) => join({ identifier: bus(), types: [value] }, 0).close(),
    (value) => new LabelOp(value),
    (value) => LabelOp.parse(value),
    (value) => new LabelOp('a').or(value),
    (value) => new LabelOp('a').matches(value),
    (value) => sender.send(value, 1),
    (value) => sender.send({ labelOp: value, mode: value, ttl: value }, 1),
    (value) => sender.send('nobody', value),
    (value) => sender.send('nobody', [value, { value }, new Map([[value, value]])]),
    (value) => sender.send('nobody', { format: value, data: value }),
    (value) => sender.send('nobody', 1, value),
    (value) => sender.send('nobody', 1, [value]),
    (value) => sender.send('nobody', 1, [], value),
    (value) => sender.send('nobody', 1, [], { objects: value, memoryRegions: value }),
    (value) => sender.send('nobody', 1, [], { objects: [value] }),
    (value) => sender.send('nobody', 1, [], { memoryRegions: [value] }),
    (value) => sender.send('nobody', 1, [], { timeout: value }),
    (value) => sender.request(value, value, { timeout: 1 }),
    (value) => sender.request('nobody', 1, value),
    (value) => receiver.recv(typeof value === 'number' && value > 1 ? 0 : (value ?? 0)),
    (value) => typeof value === 'number' && value > 2 ** 52 ? null : new MemoryRegion(value),
    (value) => new MemoryRegion(100).map(value, value),
    (value) => new MemoryRegion(100).read(value, value),
    (value) => new MemoryRegistry().alloc(16, value, value),
    (value) => new ipmb.Object(value === 0 ? -1 : value),
    (value) => new ipmb.Typed(value, value),
    (value) => new ipmb.BytesMessage(value, value),
    (value) => new ipmb.UUID(value),
  ];
  for (const act of acts) {
    for (const value of STRANGE) {
      try {
        await act(value);
      } catch (error) {
        const known = error instanceof TypeError || error instanceof RangeError || error instanceof ipmb.IpmbError;
        assert.ok(known, `${act} of ${String(typeof value)}: ${error?.stack}`);
        assert.doesNotMatch(error.message, /napi|rust|panick/i, act.toString());
      }
    }
  }
});

test('methods on what they do not belong to', () => {
  for (const Class of [LabelOp, MemoryRegion, MemoryRegistry, ipmb.Object, ipmb.Sender, ipmb.Receiver, ipmb.Endpoint, ipmb.Message]) {
    for (const name of Object.getOwnPropertyNames(Class.prototype)) {
      const { value, get } = Object.getOwnPropertyDescriptor(Class.prototype, name);
      const act = value ?? get;
      if (name === 'constructor' || typeof act !== 'function') continue;
      for (const self of STRANGE) {
        // Promises that are rejected count as thrown.
        try {
          Promise.resolve(act.call(self, 1)).catch(() => {});
        } catch (error) {
          assert.ok(error instanceof TypeError || error instanceof RangeError, `${Class.name}.${name}: ${error?.stack}`);
        }
      }
    }
  }
});

test('the native half withstands what the face keeps from it', () => {
  const classes = Object.values(native).filter((value) => typeof value === 'function');
  assert.ok(classes.length >= 12, `${classes.length} classes`);
  const made = [native.LabelOp.leaf('a'), new native.Luggage(), new native.Registry(), native.Region.create(10), native.Descriptor.of(0, 'fd')];
  const values = [...STRANGE, ...made, new Uint8Array(16)];
  let errors = 0;
  for (const Class of classes) {
    const acts = [];
    for (const [target, self] of [[Class, Class], ...[...made, {}].map((one) => [Class.prototype, one])]) {
      for (const name of Object.getOwnPropertyNames(target)) {
        const { value, get } = Object.getOwnPropertyDescriptor(target, name);
        if (typeof (value ?? get) === 'function' && name !== 'constructor') acts.push([self, value ?? get]);
      }
    }
    for (const [self, act] of acts) {
      for (const value of values) {
        // Memory of any size is not asked for here.
        if (act === native.Region.create && typeof value === 'number') continue;
        for (const given of [[value], [value, value], Array(8).fill(value), [made[0], false, 0, ...Array(5).fill(value)]]) {
          try {
            act.apply(self, given);
          } catch (error) {
            errors += 1;
            assert.ok(error instanceof Error);
            assert.doesNotMatch(error.message, /panicked|RefCell|on an `Err`|on a `None`/);
          }
        }
      }
    }
  }
  assert.ok(errors > 1000, `${errors} errors`);
});

test('hubs that nobody has any more are closed', async () => {
  for (let count = 0; count < 100; count += 1) new native.Hub(() => {}).hold(true);
  const { readdirSync } = await import('node:fs');
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  assert.ok(before > 100);
  await until(async () => {
    await collect();
    return open() < before - 90;
  });
});

test('prototypes that are exchanged deceive nobody', () => {
  const region = native.Region.create(10);
  const op = native.LabelOp.leaf('a');
  Object.setPrototypeOf(region, native.LabelOp.prototype);
  assert.throws(() => op.and(region));
  assert.throws(() => native.LabelOp.prototype.text.call(region));
  const forged = Object.setPrototypeOf(new MemoryRegion(10), LabelOp.prototype);
  assert.throws(() => new LabelOp('a').and(forged), TypeError);
  assert.throws(() => forged.toString(), TypeError);
});

test('getters and proxies in payloads may do what they like', async () => {
  const list = [1, 2, 3];
  Object.defineProperty(list, 0, { get: () => ((list.length = 1), 'first'), enumerable: true });
  await assert.rejects(sender.send('me', list), named('TypeError', /^payload\[1\] is undefined/));
  const throws = { get inner() { throw new URIError('mine'); } };
  await assert.rejects(sender.send('me', { throws }), named('URIError', /mine/));
  const reenters = { get inner() { sender.send('me', 'inner'); return 1; } };
  assert.equal(await sender.send('me', reenters), 1);
  assert.equal((await receiver.recv(10_000)).payload, 'inner');
  assert.deepEqual((await receiver.recv(10_000)).payload, { inner: 1 });
  const closes = { get inner() { other.close(); return 1; } };
  const other = await join({ identifier: bus(), label: ['me'] }, 10_000);
  await assert.rejects(other.sender.send('me', closes), named('Closed', /./));
});

test('buffers that are detached, shared or of other kinds', async () => {
  const detached = Buffer.from(new ArrayBuffer(16));
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  assert.equal(await sender.send('me', detached), 1);
  assert.equal((await receiver.recv(10_000)).payload.length, 0);
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
  for (const view of [shared, shared.buffer, new Uint16Array([0x0707, 0x0707]), new DataView(Uint8Array.of(7, 7, 7, 7).buffer)]) {
    await sender.send('me', view);
    assert.deepEqual((await receiver.recv(10_000)).payload, Buffer.of(7, 7, 7, 7));
    await sender.send('me', [view]);
    assert.deepEqual((await receiver.recv(10_000)).payload, [Buffer.of(7, 7, 7, 7)]);
  }
});

test('what happens while a payload is looked at harms nobody', async () => {
  const data = Buffer.from(new ArrayBuffer(1 << 20));
  // Looked at after the payload: it takes the memory of that away.
  const objects = [{ get fd() { structuredClone(data.buffer, { transfer: [data.buffer] }); return 0; } }];
  assert.equal(await sender.send('me', data, [], { objects }), 1);
  assert.equal((await receiver.recv(10_000)).payload.length, 0);
  const region = new MemoryRegion(1 << 20);
  const shared = region.map();
  const closes = [{ get fd() { region.close(); return 0; } }];
  assert.equal(await sender.send('me', shared, [], { objects: closes }), 1);
  assert.equal((await receiver.recv(10_000)).payload.length, 1 << 20);
});

test('what is closed says so', async () => {
  const other = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const waiting = assert.rejects(other.receiver.recv(), named('Closed', /receiver is closed/));
  other.close();
  other.close();
  await waiting;
  await assert.rejects(other.sender.send('me', 1), named('Closed', /sender is closed/));
  await assert.rejects(other.sender.request('me', 1), named('Closed', /sender is closed/));
  await assert.rejects(other.receiver.recv(0), named('Closed', /receiver is closed/));
  assert.throws(() => other.peers(), named('Closed', /^the endpoint is closed: join again$/));
  for await (const message of other.receiver) assert.fail(message);
  const region = new MemoryRegion(10);
  const buffer = region.map();
  region.close();
  region.close();
  assert.throws(() => region.map(), named('RangeError', /^MemoryRegion is closed/));
  assert.throws(() => region.size, named('RangeError', /closed/));
  buffer[0] = 1;
  await assert.rejects(sender.send('me', 1, [region]), named('RangeError', /closed/));
});

test('with too few descriptors everything is an error, and works again', async () => {
  const { code, out, errors } = await program(`
    import { closeSync, openSync } from 'node:fs';
    const me = await ipmb.join({ identifier: 'com.example.node.few.' + process.pid, label: ['me'] }, 10_000);
    await me.sender.send('me', 1);
    await me.receiver.recv();
    const taken = [];
    for (;;) { try { taken.push(openSync('/dev/null')); } catch { break; } }
    const told = [];
    const note = (error) => told.push(error.code);
    await me.sender.send('me', 1, [Buffer.alloc(10)]).catch(note);
    await me.sender.send('me', 1, [], { objects: [0] }).catch(note);
    try { new ipmb.MemoryRegion(10); } catch (error) { note(error); }
    try { ipmb.join({ identifier: 'x.' + process.pid }).then(() => {}, note); } catch (error) { note(error); }
    console.log(told.length, told.every((code) => typeof code === 'string'));
    for (const fd of taken) closeSync(fd);
    await me.sender.send('me', 'again', [Buffer.alloc(10)]);
    console.log((await me.receiver.recv(10_000)).payload);
    me.close();
  `, { timeout: 30_000 });
  assert.deepEqual([code, out, errors], [0, '4 true\nagain\n', '']);
});
