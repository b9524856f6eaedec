/** What travels beside a payload: descriptors, and memory that is shared. */

import { bytes, list, text, whole, wrongType, wrongValue } from './arguments';
import { disposable } from './disposing';
import { call } from './errors';
import { type core, native } from './native';
import { shown } from './showing';

/**
 * A descriptor that can be attached to a message: a file, a socket, a pipe's end.
 *
 * It owns a duplicate of the one it is made of, which stays the caller's, and closes it when it is closed or collected.
 */
class BusObject {
  readonly #descriptor: core.Descriptor;

  /** Of the number of an open descriptor, or of anything with an `fd` (a `FileHandle`, an `fs.ReadStream`). */
  constructor(fd: number | { readonly fd: number }) {
    this.#descriptor = fd instanceof Adopted ? fd.descriptor : opened('fd', fd);
  }

  /** The number. It stays this object's: do not close it. */
  value(): number {
    return call(() => this.#descriptor.value());
  }

  /** The number, which is the caller's to close from now on. */
  detach(): number {
    return call(() => this.#descriptor.detach());
  }

  /** Closes it. Closing twice is fine. */
  close(): void {
    this.#descriptor.close();
  }

  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /** @internal */
  static of(descriptor: core.Descriptor): BusObject {
    return new BusObject(new Adopted(descriptor) as unknown as number);
  }

  /** @internal */
  static native(value: unknown): core.Descriptor | undefined {
    return typeof value === 'object' && value !== null && #descriptor in value ? value.#descriptor : undefined;
  }
}

interface BusObject {
  /** Closes it, at the end of `using`. */
  [Symbol.dispose](): void;
}

disposable(BusObject);
shown('Object', BusObject, (object) => (object.closed ? 'closed' : `fd ${object.value()}`));

/** A descriptor that is there already. */
class Adopted {
  constructor(readonly descriptor: core.Descriptor) {}
}

export { BusObject as Object };

function opened(argument: string, given: unknown): core.Descriptor {
  const bound = 'give an Object, the number of an open descriptor, or anything with an fd';
  const number = typeof given === 'object' && given !== null && 'fd' in given ? given.fd : given;
  if (typeof number !== 'number') throw wrongType(argument, given, bound);
  if (!Number.isInteger(number) || number < 0 || number > 0x7fffffff) {
    throw wrongValue(argument, number, 'give the number of an open descriptor');
  }
  return call(() => native.Descriptor.of(number, argument));
}

/** The most that JavaScript counts. */
const MOST = Number.MAX_SAFE_INTEGER;

/**
 * Memory that several processes hold at once. It is writable by all who hold it until it is frozen.
 *
 * A hold ends when it is closed or collected; buffers made by `map` keep the memory on their own.
 */
export class MemoryRegion {
  readonly #region: core.Region;
  #buffer: WeakRef<ArrayBuffer> | undefined;

  /** New memory of so many bytes, zeroed. */
  constructor(size: number) {
    this.#region =
      (size as unknown) instanceof Held
        ? (size as unknown as Held).region
        : call(() => native.Region.create(whole('size', size, 1, MOST)));
  }

  get size(): number {
    return call(() => this.#region.size);
  }

  /** How many endpoints hold it, on the whole machine. */
  get refCount(): number {
    return call(() => this.#region.refCount());
  }

  /** Whether it is read-only for everybody, for ever. */
  get frozen(): boolean {
    return call(() => this.#region.isFrozen());
  }

  get closed(): boolean {
    return this.#region.closed;
  }

  /**
   * Some of its bytes (`size` -1: to the end), without a copy: what is written to the buffer others see. It stays valid when
   * the region is closed. Of a frozen region it is a copy of one's own, made page by page where it is written to.
   */
  map(offset = 0, size = -1): Buffer {
    const all = this.size;
    const from = whole('offset', offset, 0, all);
    const length = extent(size, all - from);
    let buffer = this.#buffer?.deref();
    // One that a program has moved elsewhere (`buffer.transfer()`) is empty.
    if (buffer?.byteLength !== all) {
      buffer = call(() => this.#region.show());
      this.#buffer = new WeakRef(buffer);
    }
    return Buffer.from(buffer, from, length);
  }

  /** Copies bytes in, from `offset` on. Unlike `map` it leaves nothing behind that could write to the region. */
  write(data: Uint8Array, offset = 0): void {
    const all = this.size;
    const source = bytes('data', data);
    const from = whole('offset', offset, 0, all);
    if (source.length > all - from) {
      throw wrongValue('data', `${source.length} bytes`, `give at most ${all - from}, what is left from offset ${from}`);
    }
    call(() => this.#region.write(source, from));
  }

  /** A copy of some of its bytes (`size` -1: to the end). */
  read(offset = 0, size = -1): Buffer {
    const all = this.size;
    const from = whole('offset', offset, 0, all);
    const length = extent(size, all - from);
    return call(() => this.#region.read(from, length));
  }

  /** Makes it read-only for everybody, for ever. For the sole holder, before it is sent and mapped: `write` fills it. */
  freeze(): void {
    call(() => this.#region.freeze());
  }

  /** Another hold on the same memory. */
  clone(): MemoryRegion {
    return MemoryRegion.of(call(() => this.#region.again()));
  }

  /** Gives up this hold. Closing twice is fine. */
  close(): void {
    this.#region.close();
  }

  /** @internal */
  static of(region: core.Region): MemoryRegion {
    return new MemoryRegion(new Held(region) as unknown as number);
  }

  /** @internal */
  static native(value: unknown): core.Region | undefined {
    return typeof value === 'object' && value !== null && #region in value ? value.#region : undefined;
  }
}

export interface MemoryRegion {
  /** Closes it, at the end of `using`. */
  [Symbol.dispose](): void;
}

disposable(MemoryRegion);
shown('MemoryRegion', MemoryRegion, (region) => {
  return region.closed ? 'closed' : `${region.size} bytes${region.frozen ? ', frozen' : ''}`;
});

/** How many bytes are meant, of so many that are left. */
function extent(size: number, left: number): number {
  return size === -1 ? left : whole('size', size, 0, left, ', or -1: to the end');
}

/** A region that is there already. */
class Held {
  constructor(readonly region: core.Region) {}
}

/** A pool of regions: memory that nobody holds any more is used again. */
export class MemoryRegistry {
  readonly #registry = new native.Registry();
  readonly #free = new Map<number, () => void>();
  #last = 0;

  /**
   * A region of at least so many bytes that nobody else holds, of those with the same tag. What is in it is left of its last
   * use. `free` is called once, by a later `alloc` or `maintain`, when nobody holds it any more.
   */
  alloc(minSize: number, tag?: string | null, free?: () => void): MemoryRegion {
    whole('minSize', minSize, 1, MOST);
    const named = tag === undefined || tag === null ? undefined : text('tag', tag);
    if (free !== undefined && typeof free !== 'function') throw wrongType('free', free, 'give a function');
    this.#callBack();
    let number: number | undefined;
    if (free) {
      do this.#last = (this.#last + 1) >>> 0;
      while (this.#free.has(this.#last));
      number = this.#last;
      this.#free.set(number, free);
    }
    try {
      return MemoryRegion.of(call(() => this.#registry.alloc(minSize, named, number)));
    } catch (error) {
      if (number !== undefined) this.#free.delete(number);
      throw error;
    }
  }

  /** Calls what is due, and gives memory back to the system that was not held for a while. */
  maintain(): void {
    this.#registry.trim();
    this.#callBack();
  }

  #callBack(): void {
    for (const number of this.#registry.due()) {
      const free = this.#free.get(number);
      this.#free.delete(number);
      try {
        free?.();
      } catch (error) {
        // It does not concern the others, nor the caller.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** What goes along with a payload. */
export interface Attachments {
  /** Descriptors: each receiver gets duplicates. */
  objects?: ReadonlyArray<BusObject | number | { readonly fd: number }>;
  /** Regions: each receiver holds them too. */
  memoryRegions?: readonly MemoryRegion[];
}

type Buffers = ReadonlyArray<Uint8Array | MemoryRegion> | undefined;

/**
 * Has `send` called with what goes along, checked and duplicated. What it leaves of that is closed when it has ended, whatever
 * came of it: duplicates that wait for the collector use up a process's descriptors, of which the collector knows nothing.
 */
export function carrying<Outcome>(
  buffers: Buffers,
  attachments: Attachments,
  send: (attached: core.Luggage | undefined) => Promise<Outcome>,
): Promise<Outcome> {
  const copied = list('buffers', buffers, 'give an array of Buffers and MemoryRegions; options come after it');
  const objects = list('objects', attachments.objects, 'give an array of Objects');
  const regions = list('memoryRegions', attachments.memoryRegions, 'give an array of MemoryRegions');
  if (copied.length + objects.length + regions.length === 0) return send(undefined);
  const attached = new native.Luggage();
  const close = (): void => attached.close();
  try {
    pack(attached, copied, objects, regions);
    return send(attached).finally(close);
  } catch (error) {
    close();
    throw error;
  }
}

function pack(
  made: core.Luggage,
  copied: readonly unknown[],
  objects: readonly unknown[],
  regions: readonly unknown[],
): void {
  objects.forEach((object, index) => {
    const place = `objects[${index}]`;
    const own = BusObject.native(object);
    if (own?.closed) throw new RangeError(`${place} is an Object that is closed: its descriptor is gone`);
    const descriptor = own ?? opened(place, object);
    try {
      call(() => made.object(descriptor));
    } finally {
      if (!own) descriptor.close();
    }
  });
  // What is one too many is so because of all of them.
  const all = [copied.length > 0 ? 'buffers' : '', regions.length > 0 ? 'memoryRegions' : ''].filter(Boolean).join(' with ');
  const share = (place: string, region: core.Region): void => {
    if (region.closed) throw new RangeError(`${place} is a MemoryRegion that is closed: its memory is let go`);
    call(() => made.region(region, all));
  };
  copied.forEach((buffer, index) => {
    const place = `buffers[${index}]`;
    const region = MemoryRegion.native(buffer);
    if (region) return share(place, region);
    const data = bytes(place, buffer, 'give a Buffer, another view of bytes, or a MemoryRegion');
    if (data.length === 0) throw new RangeError(`${place} is empty: give 1 byte or more`);
    return call(() => made.copy(data, all));
  });
  regions.forEach((item, index) => {
    const place = `memoryRegions[${index}]`;
    const region = MemoryRegion.native(item);
    if (!region) throw wrongType(place, item, 'give MemoryRegions');
    share(place, region);
  });
}
