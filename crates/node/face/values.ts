/** Small values: who an endpoint is, and payloads for which JavaScript has no type of its own. */

import { bytes, text, whole, wrongType, wrongValue } from './arguments';
import { shown } from './showing';

/** Who an endpoint is, as the kernel and the directory know it. */
export interface EndpointInfo {
  /** Number that no other endpoint of the bus has. */
  readonly id: bigint;
  /** The label it joined with. */
  readonly label: readonly string[];
  /** Its process. */
  readonly pid: number;
}

/** Bytes, and a number that says what they are: what programs in C and C++ exchange. */
export class BytesMessage {
  /** 0 to 65535. */
  readonly format: number;
  readonly data: Buffer;

  constructor(format: number, data: Uint8Array) {
    this.format = whole('format', format, 0, 0xffff);
    const given = bytes('data', data);
    this.data = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  }
}

/** A number that travels as a float though it is whole: `new Float(1)`. It arrives as a number. */
export class Float {
  readonly value: number;

  constructor(value: number) {
    if (typeof value !== 'number') throw wrongType('value', value, 'give a number');
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }
}

const UUID_TEXT = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** A universally unique identifier. */
export class UUID {
  readonly #bytes: Uint8Array;

  /** Of its text, or of its 16 bytes. */
  constructor(value: string | Uint8Array) {
    if (typeof value === 'string') {
      if (!UUID_TEXT.test(value)) throw wrongValue('uuid', value, 'give 32 hexadecimal digits');
      this.#bytes = Buffer.from(value.replaceAll('-', ''), 'hex');
    } else {
      const given = bytes('uuid', value);
      if (given.length !== 16) throw wrongValue('uuid', `${given.length} bytes`, 'give 16');
      this.#bytes = Uint8Array.from(given);
    }
  }

  /** A copy of its 16 bytes. */
  get bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  equals(other: UUID): boolean {
    return other instanceof UUID && other.toString() === this.toString();
  }

  toString(): string {
    return Buffer.from(this.#bytes).toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  toJSON(): string {
    return this.toString();
  }
}

shown('UUID', UUID, (uuid) => uuid.toString());

/** An object of a type that has a UUID of its own: what Python's `message_type` declares. Its value is a plain one. */
export class Typed {
  readonly type: UUID;
  readonly value: unknown;

  constructor(type: UUID | string, value: unknown) {
    this.type = type instanceof UUID ? type : new UUID(text('type', type));
    this.value = value;
  }
}
