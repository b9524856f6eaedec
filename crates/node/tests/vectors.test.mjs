/** Payloads are the same bytes in every language: this is JavaScript's reading of the vectors that all of them share. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import payload from '../lib/payload.js';

const vectors = JSON.parse(readFileSync(new URL('../../../tests/vectors/payloads.json', import.meta.url), 'utf8'));
const BUILTIN = '69706d62-0000-8000-8000-0000000000';

/** What is sent for a notation. */
function given([kind, ...rest]) {
  const [first, second] = rest;
  switch (kind) {
    case 'none': return null;
    case 'bool': case 'str': return first;
    case 'int': return BigInt(first);
    case 'float': return new ipmb.Float(Buffer.from(first, 'hex').readDoubleBE());
    case 'bytes': return Buffer.from(first, 'hex');
    case 'list': return first.map(given);
    case 'dict': return new Map(first.map(([key, value]) => [given(key), given(value)]));
    case 'datetime': return date(first);
    case 'uuid': return new ipmb.UUID(first);
    case 'bytes_message': return new ipmb.BytesMessage(first, Buffer.from(second, 'hex'));
    case 'typed': return new ipmb.Typed(first, given(second));
    default: throw new Error(`no notation: ${kind}`);
  }
}

/** A time in ISO 8601 by other means than the package's. Offsets with seconds are not known to JavaScript. */
function date(text) {
  const [, plain, , offset = ''] = /^(.*?)(\.\d+)?([+-].{5,8})?$/.exec(text.replace(/^(.{19})(\.\d+)?/, '$1'));
  const millis = Number((/\.(\d{3})/.exec(text) ?? [0, 0])[1]);
  if (offset === '') return new Date(Date.parse(plain) + millis);
  const [hours, minutes, seconds = 0] = offset.slice(1).split(':').map(Number);
  const sign = offset.startsWith('-') ? -1 : 1;
  return new Date(Date.parse(`${plain}Z`) + millis - sign * ((hours * 60 + minutes) * 60 + seconds) * 1000);
}

/** What arrives for a notation: whole numbers are numbers where they are exact, maps with names alone are objects. */
function arrived(notation) {
  const [kind, first, second] = notation;
  switch (kind) {
    case 'int': return Number.isSafeInteger(Number(first)) ? Number(first) : BigInt(first);
    case 'float': return Buffer.from(first, 'hex').readDoubleBE();
    case 'list': return first.map(arrived);
    case 'dict': {
      const entries = first.map(([key, value]) => [arrived(key), arrived(value)]);
      return first.every(([key]) => key[0] === 'str') ? Object.fromEntries(entries) : new Map(entries);
    }
    case 'typed': return new ipmb.Typed(first, arrived(second));
    default: return given(notation);
  }
}

/** As `deepEqual` compares it: what is in private fields is not seen by that. */
function seen(value) {
  if (value instanceof ipmb.UUID) return { uuid: value.toString() };
  if (value instanceof ipmb.Typed) return { typed: value.type.toString(), value: seen(value.value) };
  if (value instanceof ipmb.BytesMessage) return { format: value.format, data: value.data.toString('hex') };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return value.map(seen);
  if (value instanceof Map) return { map: [...value].map(([key, item]) => [seen(key), seen(item)]) };
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, seen(item)]));
  }
  return value;
}

function decode({ type, bytes }) {
  const kind = type.startsWith(BUILTIN) ? Number.parseInt(type.slice(-2), 16) : 0;
  const uuid = kind === 0 ? new ipmb.UUID(type).bytes : undefined;
  return payload.decode({ kind, uuid, data: Buffer.from(bytes, 'hex') }, { id: 1n, label: ['vector'], pid: 1 });
}

/** Times that a `Date` holds, with the offset that it is written with. */
const isOurs = ({ value: [kind, text] }) => kind !== 'datetime' || /^\d{4}[^.]*(\.\d{3}000)?\+00:00$/.test(text);

for (const vector of vectors.exact.filter(isOurs)) {
  test(`encoded: ${vector.name}`, () => {
    const { kind, head, data } = payload.encode(given(vector.value));
    assert.equal(new ipmb.UUID(kind).toString(), vector.type);
    assert.equal(Buffer.concat([head, data]).toString('hex'), vector.bytes);
  });
}

for (const vector of vectors.exact.filter(({ value: [kind, digits] }) => kind === 'int' && Number.isSafeInteger(+digits))) {
  test(`encoded as a number: ${vector.name}`, () => {
    const { kind, data } = payload.encode(Number(vector.value[1]));
    assert.equal(new ipmb.UUID(kind).toString(), vector.type);
    assert.equal(Buffer.from(data).toString('hex'), vector.bytes);
  });
}

for (const vector of [...vectors.exact, ...vectors.also]) {
  test(`decoded: ${vector.name}`, () => {
    assert.deepEqual(seen(decode(vector)), seen(arrived(vector.value)));
  });
}

for (const vector of vectors.garbage) {
  test(`garbage: ${vector.name}`, () => {
    assert.throws(() => decode(vector), (error) => error instanceof ipmb.DecodeError && error.sender.pid === 1);
  });
}

test('there are some of each', () => {
  for (const kind of ['exact', 'also', 'garbage']) assert.ok(vectors[kind].length > 9, kind);
});
