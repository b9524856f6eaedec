/** Checks of arguments: what is wrong is said by name, with what was given and what would do. */

import { types } from 'node:util';

const SHOWN = 40;

/** A value in a few words: "a number", "a Map", "null". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return typeof value === 'function' ? 'a function' : `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  let name: unknown;
  try {
    name = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor?.name;
  } catch {
    // A proxy that does not want to be looked at.
  }
  if (typeof name !== 'string' || name === '' || name === 'Object') return 'an object';
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name.slice(0, SHOWN)}`;
}

export function wrongType(argument: string, value: unknown, bound: string): TypeError {
  return new TypeError(`${argument} is ${kindOf(value)}: ${bound}`);
}

export function wrongValue(argument: string, value: unknown, bound: string): RangeError {
  return new RangeError(`${argument} is ${String(value).slice(0, SHOWN)}: ${bound}`);
}

/** The error of a constructor that is not for programs to call. */
export function notMade(name: string, origin: string): TypeError {
  return new TypeError(`${name} comes from ${origin}: it is not constructed`);
}

/** Whether a string is Unicode: it has no half of a surrogate pair. */
export const isUnicode: (value: string) => boolean =
  'isWellFormed' in String.prototype
    ? (value) => (value as string & { isWellFormed(): boolean }).isWellFormed()
    : (value) => !/\p{Surrogate}/u.test(value);

export function text(argument: string, value: unknown): string {
  if (typeof value !== 'string') throw wrongType(argument, value, 'give a string');
  if (!isUnicode(value)) throw new RangeError(`${argument} has half a surrogate pair: give valid Unicode`);
  return value;
}

/** Options, or none. One that nobody knows is an error: it is another one, mistyped. */
export function options<T extends object>(
  argument: string,
  value: T | undefined,
  known: ReadonlyArray<string & keyof T>,
  hint = '',
): Partial<T> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw wrongType(argument, value, 'give an object');
  for (const name of Object.keys(value)) {
    if (!(known as readonly string[]).includes(name)) {
      throw new TypeError(`${argument} has ${JSON.stringify(name.slice(0, SHOWN))}: give only ${known.join(', ')}${hint}`);
    }
  }
  return value;
}

/** The items of a list. */
export function list<T>(argument: string, value: readonly T[] | undefined, bound: string): readonly T[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrongType(argument, value, bound);
  return value;
}

export function flag(argument: string, value: boolean | undefined, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw wrongType(argument, value, 'give true or false');
  return value;
}

/** A whole number from `least` to `most`; `or` says what else would have done. */
export function whole(argument: string, value: unknown, least: number, most: number, or = ''): number {
  if (typeof value !== 'number') throw wrongType(argument, value, 'give a number');
  if (!Number.isInteger(value) || value < least || value > most) {
    throw wrongValue(argument, value, `give a whole number, ${least} to ${most}${or}`);
  }
  return value;
}

/** Milliseconds; `Infinity` for null and nothing. */
export function millis(argument: string, value: number | null | undefined): number {
  if (value === undefined || value === null) return Infinity;
  const bound = 'give 0 or more milliseconds, or null for ever';
  if (typeof value !== 'number') throw wrongType(argument, value, bound);
  if (!(value >= 0)) throw wrongValue(argument, value, bound);
  return value;
}

/** Any view of bytes as a `Uint8Array` of the same memory. */
export function bytes(argument: string, value: unknown, bound = 'give a Buffer, or another view of bytes'): Uint8Array {
  if (types.isUint8Array(value)) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (types.isAnyArrayBuffer(value)) return new Uint8Array(value);
  throw wrongType(argument, value, bound);
}

/** Why something cannot be sent, while the place of it is still being found. */
export class Refusal extends Error {
  place = '';
  constructor(readonly what: string, readonly Class: TypeErrorConstructor | RangeErrorConstructor = TypeError) {
    super(what);
  }
}

/** The error to throw of one that was caught. */
export function refused(error: unknown): unknown {
  return error instanceof Refusal ? new error.Class(`payload${error.place} is ${error.what}`) : error;
}
