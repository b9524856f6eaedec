/** What a payload travels as: the UUID of its type, and its bytes. The table is that of `docs/payloads.md`. */

import { types } from 'node:util';

import { isUnicode, kindOf, refused } from './arguments';
import { readDate, writeDate } from './dates';
import { DecodeError } from './errors';
import type { core } from './native';
import * as packing from './packing';
import * as unpacking from './unpacking';
import { BytesMessage, type EndpointInfo, Float, Typed, UUID } from './values';

const TABLE = ['None', 'bool', 'int', 'float', 'str', 'bytes', 'list', 'dict', 'datetime', 'UUID', 'BytesMessage',
  'memoryview', 'ndarray', 'Table', 'Tensor', 'generic', 'RecordBatch'] as const;
type Name = (typeof TABLE)[number];

/** Those that JavaScript has something for come first. */
const TAKEN = TABLE.indexOf('memoryview') + 1;

function builtin(name: Name): Uint8Array {
  return Buffer.from(`69706d6200008000800000000000${(TABLE.indexOf(name) + 1).toString(16).padStart(4, '0')}`, 'hex');
}

const KINDS = Object.fromEntries(TABLE.map((name) => [name, builtin(name)])) as Readonly<Record<Name, Uint8Array>>;

const NOTHING = new Uint8Array(0);

/** A payload ready to be sent: its UUID, and its bytes in two parts. */
export interface Encoded {
  readonly kind: Uint8Array;
  readonly head: Uint8Array;
  readonly data: Uint8Array;
}

/** The UUIDs that a receiver takes, one after another: those of the table, and these. */
export function takes(types: readonly UUID[]): Uint8Array {
  return Buffer.concat([...TABLE.slice(0, TAKEN).map((name) => KINDS[name]), ...types.map((type) => type.bytes)]);
}

/** `{format, data}` and nothing else: how a program in JavaScript writes a `BytesMessage`. */
function asBytesMessage(value: object): BytesMessage | undefined {
  if (value instanceof BytesMessage) return value;
  const keys = Object.keys(value);
  if (keys.length !== 2 || !('format' in value) || !('data' in value)) return undefined;
  const { format, data } = value;
  return typeof format === 'number' && ArrayBuffer.isView(data)
    ? new BytesMessage(format, data as Uint8Array)
    : undefined;
}

/** Encodes a payload. Bytes are not copied. */
export function encode(payload: unknown): Encoded {
  const plain = (name: Name, data: Uint8Array): Encoded => ({ kind: KINDS[name], head: NOTHING, data });
  switch (typeof payload) {
    case 'string':
      if (!isUnicode(payload)) {
        throw new RangeError('payload is a string with half a surrogate pair: give valid Unicode');
      }
      return plain('str', Buffer.from(payload, 'utf8'));
    case 'number':
      return plain(Number.isSafeInteger(payload) && !Object.is(payload, -0) ? 'int' : 'float', packing.encode(payload));
    case 'bigint':
      return plain('int', packing.encode(payload));
    case 'boolean':
      return plain('bool', packing.encode(payload));
    case 'object':
      break;
    default:
      throw new TypeError(`payload is ${kindOf(payload)}: give null, or a value that can be sent`);
  }
  if (payload === null) return plain('None', packing.encode(null));
  if (types.isUint8Array(payload)) return plain('bytes', payload);
  if (ArrayBuffer.isView(payload)) {
    return plain('bytes', new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength));
  }
  if (types.isAnyArrayBuffer(payload)) {
    return plain('bytes', new Uint8Array(payload));
  }
  if (Array.isArray(payload)) return plain('list', packing.encode(payload));
  const message = asBytesMessage(payload);
  if (message) return { kind: KINDS.BytesMessage, head: packing.formatBytes(message.format), data: message.data };
  if (types.isDate(payload)) {
    try {
      return plain('datetime', Buffer.from(writeDate(payload)));
    } catch (error) {
      throw refused(error);
    }
  }
  if (payload instanceof UUID) return plain('UUID', payload.bytes);
  if (payload instanceof Float) return plain('float', packing.encode(payload));
  if (payload instanceof Typed) {
    return { kind: payload.type.bytes, head: NOTHING, data: packing.encode(payload.value) };
  }
  return plain('dict', packing.encode(payload));
}

const FAILURE = new UUID('8f1d4f0e-6d0a-4d55-9a3b-5a1c8b7e2d90');

/** What an error travels as, in reply to a request. */
export function failure({ name, message, stack }: Error): Typed {
  const text = (given: unknown): string => Buffer.from(String(given ?? ''), 'utf8').toString('utf8');
  return new Typed(FAILURE, { type: text(name), text: text(message), traceback: text(stack) });
}

const ELSEWHERE = 0xc1;

/** What stands before the part in shared memory, wherever that is. */
function located(head: Buffer, bulk: Buffer): Buffer {
  if (head[0] !== ELSEWHERE) return head;
  if (head.length !== 17) throw new RangeError(`${head.length} bytes do not say where the head is`);
  const [offset, size] = [Number(head.readBigUInt64LE(1)), Number(head.readBigUInt64LE(9))];
  // A copy: the sender could change the memory while it is decoded.
  return Buffer.from(unpacking.range(bulk, offset, size));
}

const MARKERS: Partial<Record<Name, (marker: number) => boolean>> = {
  None: (marker) => marker === 0xc0,
  bool: (marker) => marker === 0xc2 || marker === 0xc3,
  int: (marker) => marker < 0x80 || marker >= 0xe0 || (marker >= 0xcc && marker <= 0xd3),
  float: (marker) => marker === 0xcb,
  list: (marker) => (marker & 0xf0) === 0x90 || marker === 0xdc || marker === 0xdd,
  dict: (marker) => (marker & 0xf0) === 0x80 || marker === 0xde || marker === 0xdf,
};

function decodeAs(name: Name | undefined, uuid: Buffer | undefined, head: Buffer, bulk: Buffer | undefined): unknown {
  if (name === 'memoryview') return bulk ?? head;
  const data = bulk ? located(head, bulk) : head;
  switch (name) {
    case 'str':
      return unpacking.decodeText(data);
    case 'bytes':
      return data;
    case 'datetime':
      return readDate(unpacking.decodeText(data));
    case 'UUID':
      return new UUID(data);
    case 'BytesMessage':
      return unpacking.readBytesMessage(data);
    case undefined:
      return new Typed(new UUID(uuid ?? NOTHING), unpacking.decode(data, bulk));
    default: {
      const first = data[0];
      if (first === undefined || !MARKERS[name]?.(first)) throw new RangeError('its sender encodes it wrongly');
      return unpacking.decode(data, bulk);
    }
  }
}

/** The payload of a message. */
export function decode(received: core.Received, sender: EndpointInfo): unknown {
  if (received.text !== undefined) return received.text;
  const name = TABLE[received.kind - 1];
  const bulk = received.bulk && Buffer.from(received.bulk);
  const data = received.data ?? Buffer.alloc(0);
  try {
    return decodeAs(name, received.uuid, data, bulk);
  } catch (error) {
    // Whatever a peer sends, this is all that comes of it.
    const size = data.length + (bulk?.length ?? 0);
    const why = error instanceof Error ? error.message : String(error);
    const from = `${JSON.stringify(sender.label)}, process ${sender.pid}`;
    const what = name ?? `object of type ${new UUID(received.uuid ?? new Uint8Array(16)).toString()}`;
    throw new DecodeError(`a message of ${size} bytes is no ${what}: ${why}; it came from ${from}`, sender);
  }
}

/** The bytes of a payload, as they travelled; those of a `BytesMessage` with its format. */
export function raw(received: core.Received, payload: unknown): BytesMessage {
  if (payload instanceof BytesMessage) return payload;
  const { bulk, text, data = Buffer.from(text ?? '', 'utf8') } = received;
  return new BytesMessage(0, bulk ? Buffer.from(bulk) : data);
}
