/**
 * MessagePack of the values that are sent, strictly: what would not arrive equal is refused, with its place in the payload.
 *
 * What MessagePack has no type for is an extension: 1 a UUID, 2 a point in time, 3 a `BytesMessage`, 11 an object of a type with
 * a UUID. `docs/payloads.md` has the table for all languages.
 */

import { types } from 'node:util';

import { isUnicode, kindOf, Refusal, refused } from './arguments';
import { writeDate } from './dates';
import { BytesMessage, Float, Typed, UUID } from './values';

/** How deep lists and maps may stand in each other. */
export const DEPTH = 200;
const LEAST = -(2n ** 63n);
const MOST = 2n ** 64n - 1n;

/** Encodes one value. Errors name it `payload`. */
export function encode(value: unknown): Buffer {
  const writer = new Writer();
  try {
    writer.value(value, DEPTH);
  } catch (error) {
    throw refused(error);
  }
  return writer.finish();
}

/** A format, as it stands before the data. */
export function formatBytes(format: number): Buffer {
  return Buffer.of(format & 0xff, format >> 8);
}

class Writer {
  #room = Buffer.allocUnsafe(256);
  #view = new DataView(this.#room.buffer, this.#room.byteOffset, this.#room.byteLength);
  #length = 0;

  finish(): Buffer {
    return this.#room.subarray(0, this.#length);
  }

  /** Makes room, and gives where it begins. */
  #grow(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#room.length) {
      const room = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#room.length));
      this.#room.copy(room, 0, 0, at);
      this.#room = room;
      this.#view = new DataView(room.buffer, room.byteOffset, room.byteLength);
    }
    return at;
  }

  #byte(value: number): void {
    const at = this.#grow(1);
    this.#room[at] = value;
  }

  #raw(data: Uint8Array): void {
    // Before the bytes are looked at: growing may not change what they are.
    const at = this.#grow(data.length);
    this.#room.set(data, at);
  }

  /** A marker, and a length in as many bytes as it needs; `small` is the marker with the length in it, up to `limit`. */
  #counted(length: number, small: number, limit: number, markers: readonly [number, number, number]): void {
    if (length <= limit) {
      this.#byte(small | length);
    } else if (length <= 0xff && markers[0] !== 0) {
      const at = this.#grow(2);
      this.#room[at] = markers[0];
      this.#room[at + 1] = length;
    } else if (length <= 0xffff) {
      const at = this.#grow(3);
      this.#room[at] = markers[1];
      this.#view.setUint16(at + 1, length);
    } else {
      const at = this.#grow(5);
      this.#room[at] = markers[2];
      this.#view.setUint32(at + 1, length);
    }
  }

  value(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? this.#integer(value) : this.#float(value);
      case 'boolean':
        return this.#byte(value ? 0xc3 : 0xc2);
      case 'bigint':
        return this.#big(value);
      case 'object':
        return value === null ? this.#byte(0xc0) : this.#object(value, depth);
      case 'undefined':
        throw new Refusal('undefined: give null');
      default:
        throw new Refusal(`${kindOf(value)}: it cannot be sent`);
    }
  }

  #text(value: string): void {
    if (!isUnicode(value)) throw new Refusal('a string with half a surrogate pair: give valid Unicode', RangeError);
    const data = Buffer.from(value, 'utf8');
    this.#counted(data.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
    this.#raw(data);
  }

  #float(value: number): void {
    const at = this.#grow(9);
    this.#room[at] = 0xcb;
    this.#view.setFloat64(at + 1, value);
  }

  /** In as few bytes as it needs. */
  #integer(value: number): void {
    if (value >= 0) {
      if (value < 0x80) return this.#byte(value);
      if (value > 0xffffffff) return this.#big(BigInt(value));
      return this.#counted(value, 0, -1, [0xcc, 0xcd, 0xce]);
    }
    if (value >= -32) return this.#byte(value & 0xff);
    const width = value >= -0x80 ? 1 : value >= -0x8000 ? 2 : value >= -0x80000000 ? 4 : 8;
    const at = this.#grow(1 + width);
    this.#room[at] = { 1: 0xd0, 2: 0xd1, 4: 0xd2, 8: 0xd3 }[width];
    if (width === 1) this.#view.setInt8(at + 1, value);
    else if (width === 2) this.#view.setInt16(at + 1, value);
    else if (width === 4) this.#view.setInt32(at + 1, value);
    else this.#view.setBigInt64(at + 1, BigInt(value));
  }

  #big(value: bigint): void {
    if (value < LEAST || value > MOST) throw new Refusal('a bigint out of range: give -2**63 to 2**64-1', RangeError);
    if (value >= -0x80000000n && value <= 0xffffffffn) return this.#integer(Number(value));
    const at = this.#grow(9);
    this.#room[at] = value < 0n ? 0xd3 : 0xcf;
    if (value < 0n) this.#view.setBigInt64(at + 1, value);
    else this.#view.setBigUint64(at + 1, value);
  }

  #object(value: object, depth: number): void {
    if (Array.isArray(value)) return this.#list(value, deeper(depth));
    if (ArrayBuffer.isView(value)) return this.#bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    if (types.isAnyArrayBuffer(value)) return this.#bytes(new Uint8Array(value));
    if (types.isDate(value)) return this.#extension(2, Buffer.from(writeDate(value)));
    if (value instanceof UUID) return this.#extension(1, value.bytes);
    if (value instanceof BytesMessage) return this.#extension(3, Buffer.concat([formatBytes(value.format), value.data]));
    if (value instanceof Float) return this.#float(value.value);
    if (value instanceof Typed) return this.#typed(value, depth);
    if (types.isMap(value)) return this.#map([...(value as Map<unknown, unknown>)], deeper(depth));
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      throw new Refusal(`${kindOf(value)}: give a plain object, or new Typed(uuid, value)`);
    }
    this.#map(Object.entries(value), deeper(depth));
  }

  #bytes(data: Uint8Array): void {
    this.#counted(data.length, 0xc4, -1, [0xc4, 0xc5, 0xc6]);
    this.#raw(data);
  }

  #list(items: readonly unknown[], depth: number): void {
    const count = items.length;
    this.#counted(count, 0x90, 15, [0, 0xdc, 0xdd]);
    // By its number: a list that a getter changes meanwhile has as many items as was said.
    for (let index = 0; index < count; index += 1) {
      this.#within(`[${index}]`, () => this.value(items[index], depth));
    }
  }

  #map(entries: ReadonlyArray<readonly [unknown, unknown]>, depth: number): void {
    this.#counted(entries.length, 0x80, 15, [0, 0xde, 0xdf]);
    for (const [key, value] of entries) {
      if (typeof key === 'object' && key !== null && !types.isUint8Array(key) && !(key instanceof Float)) {
        throw new Refusal(`a Map with ${kindOf(key)} as a key: give keys that are null, booleans, numbers, strings or bytes`);
      }
      this.value(key, depth);
      this.#within(`[${shown(key)}]`, () => this.value(value, depth));
    }
  }

  #typed(value: Typed, depth: number): void {
    const inner = new Writer();
    inner.value(value.value, deeper(depth));
    this.#extension(11, Buffer.concat([value.type.bytes, inner.finish()]));
  }

  #extension(code: number, data: Uint8Array): void {
    const fixed = [1, 2, 4, 8, 16].indexOf(data.length);
    if (fixed >= 0) this.#byte(0xd4 + fixed);
    else this.#counted(data.length, 0, -1, [0xc7, 0xc8, 0xc9]);
    this.#byte(code);
    this.#raw(data);
  }

  #within(step: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof Refusal) error.place = step + error.place;
      throw error;
    }
  }
}

function deeper(depth: number): number {
  if (depth === 0) throw new RangeError(`payload is nested more than ${DEPTH} deep: flatten it, and look for one that holds itself`);
  return depth - 1;
}

function shown(key: unknown): string {
  const text = typeof key === 'string' ? JSON.stringify(key) : String(key);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
