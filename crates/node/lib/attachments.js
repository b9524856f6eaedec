"use strict";
/** What travels beside a payload: descriptors, and memory that is shared. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.MemoryRegistry = exports.MemoryRegion = exports.Object = void 0;
exports.carrying = carrying;
const arguments_1 = require("./arguments");
const disposing_1 = require("./disposing");
const errors_1 = require("./errors");
const native_1 = require("./native");
const showing_1 = require("./showing");
/**
 * A descriptor that can be attached to a message: a file, a socket, a pipe's end.
 *
 * It owns a duplicate of the one it is made of, which stays the caller's, and closes it when it is closed or collected.
 */
class BusObject {
    #descriptor;
    /** Of the number of an open descriptor, or of anything with an `fd` (a `FileHandle`, an `fs.ReadStream`). */
    constructor(fd) {
        this.#descriptor = fd instanceof Adopted ? fd.descriptor : opened('fd', fd);
    }
    /** The number. It stays this object's: do not close it. */
    value() {
        return (0, errors_1.call)(() => this.#descriptor.value());
    }
    /** The number, which is the caller's to close from now on. */
    detach() {
        return (0, errors_1.call)(() => this.#descriptor.detach());
    }
    /** Closes it. Closing twice is fine. */
    close() {
        this.#descriptor.close();
    }
    get closed() {
        return this.#descriptor.closed;
    }
    /** @internal */
    static of(descriptor) {
        return new BusObject(new Adopted(descriptor));
    }
    /** @internal */
    static native(value) {
        return typeof value === 'object' && value !== null && #descriptor in value ? value.#descriptor : undefined;
    }
}
exports.Object = BusObject;
(0, disposing_1.disposable)(BusObject);
(0, showing_1.shown)('Object', BusObject, (object) => (object.closed ? 'closed' : `fd ${object.value()}`));
/** A descriptor that is there already. */
class Adopted {
    descriptor;
    constructor(descriptor) {
        this.descriptor = descriptor;
    }
}
function opened(argument, given) {
    const bound = 'give an Object, the number of an open descriptor, or anything with an fd';
    const number = typeof given === 'object' && given !== null && 'fd' in given ? given.fd : given;
    if (typeof number !== 'number')
        throw (0, arguments_1.wrongType)(argument, given, bound);
    if (!Number.isInteger(number) || number < 0 || number > 0x7fffffff) {
        throw (0, arguments_1.wrongValue)(argument, number, 'give the number of an open descriptor');
    }
    return (0, errors_1.call)(() => native_1.native.Descriptor.of(number, argument));
}
/** The most that JavaScript counts. */
const MOST = Number.MAX_SAFE_INTEGER;
/**
 * Memory that several processes hold at once. It is writable by all who hold it until it is frozen.
 *
 * A hold ends when it is closed or collected; buffers made by `map` keep the memory on their own.
 */
class MemoryRegion {
    #region;
    #buffer;
    /** New memory of so many bytes, zeroed. */
    constructor(size) {
        this.#region =
            size instanceof Held
                ? size.region
                : (0, errors_1.call)(() => native_1.native.Region.create((0, arguments_1.whole)('size', size, 1, MOST)));
    }
    get size() {
        return (0, errors_1.call)(() => this.#region.size);
    }
    /** How many endpoints hold it, on the whole machine. */
    get refCount() {
        return (0, errors_1.call)(() => this.#region.refCount());
    }
    /** Whether it is read-only for everybody, for ever. */
    get frozen() {
        return (0, errors_1.call)(() => this.#region.isFrozen());
    }
    get closed() {
        return this.#region.closed;
    }
    /**
     * Some of its bytes (`size` -1: to the end), without a copy: what is written to the buffer others see. It stays valid when
     * the region is closed. Of a frozen region it is a copy of one's own, made page by page where it is written to.
     */
    map(offset = 0, size = -1) {
        const all = this.size;
        const from = (0, arguments_1.whole)('offset', offset, 0, all);
        const length = extent(size, all - from);
        let buffer = this.#buffer?.deref();
        // One that a program has moved elsewhere (`buffer.transfer()`) is empty.
        if (buffer?.byteLength !== all) {
            buffer = (0, errors_1.call)(() => this.#region.show());
            this.#buffer = new WeakRef(buffer);
        }
        return Buffer.from(buffer, from, length);
    }
    /** Copies bytes in, from `offset` on. Unlike `map` it leaves nothing behind that could write to the region. */
    write(data, offset = 0) {
        const all = this.size;
        const source = (0, arguments_1.bytes)('data', data);
        const from = (0, arguments_1.whole)('offset', offset, 0, all);
        if (source.length > all - from) {
            throw (0, arguments_1.wrongValue)('data', `${source.length} bytes`, `give at most ${all - from}, what is left from offset ${from}`);
        }
        (0, errors_1.call)(() => this.#region.write(source, from));
    }
    /** A copy of some of its bytes (`size` -1: to the end). */
    read(offset = 0, size = -1) {
        const all = this.size;
        const from = (0, arguments_1.whole)('offset', offset, 0, all);
        const length = extent(size, all - from);
        return (0, errors_1.call)(() => this.#region.read(from, length));
    }
    /** Makes it read-only for everybody, for ever. For the sole holder, before it is sent and mapped: `write` fills it. */
    freeze() {
        (0, errors_1.call)(() => this.#region.freeze());
    }
    /** Another hold on the same memory. */
    clone() {
        return MemoryRegion.of((0, errors_1.call)(() => this.#region.again()));
    }
    /** Gives up this hold. Closing twice is fine. */
    close() {
        this.#region.close();
    }
    /** @internal */
    static of(region) {
        return new MemoryRegion(new Held(region));
    }
    /** @internal */
    static native(value) {
        return typeof value === 'object' && value !== null && #region in value ? value.#region : undefined;
    }
}
exports.MemoryRegion = MemoryRegion;
(0, disposing_1.disposable)(MemoryRegion);
(0, showing_1.shown)('MemoryRegion', MemoryRegion, (region) => {
    return region.closed ? 'closed' : `${region.size} bytes${region.frozen ? ', frozen' : ''}`;
});
/** How many bytes are meant, of so many that are left. */
function extent(size, left) {
    return size === -1 ? left : (0, arguments_1.whole)('size', size, 0, left, ', or -1: to the end');
}
/** A region that is there already. */
class Held {
    region;
    constructor(region) {
        this.region = region;
    }
}
/** A pool of regions: memory that nobody holds any more is used again. */
class MemoryRegistry {
    #registry = new native_1.native.Registry();
    #free = new Map();
    #last = 0;
    /**
     * A region of at least so many bytes that nobody else holds, of those with the same tag. What is in it is left of its last
     * use. `free` is called once, by a later `alloc` or `maintain`, when nobody holds it any more.
     */
    alloc(minSize, tag, free) {
        (0, arguments_1.whole)('minSize', minSize, 1, MOST);
        const named = tag === undefined || tag === null ? undefined : (0, arguments_1.text)('tag', tag);
        if (free !== undefined && typeof free !== 'function')
            throw (0, arguments_1.wrongType)('free', free, 'give a function');
        this.#callBack();
        let number;
        if (free) {
            do
                this.#last = (this.#last + 1) >>> 0;
            while (this.#free.has(this.#last));
            number = this.#last;
            this.#free.set(number, free);
        }
        try {
            return MemoryRegion.of((0, errors_1.call)(() => this.#registry.alloc(minSize, named, number)));
        }
        catch (error) {
            if (number !== undefined)
                this.#free.delete(number);
            throw error;
        }
    }
    /** Calls what is due, and gives memory back to the system that was not held for a while. */
    maintain() {
        this.#registry.trim();
        this.#callBack();
    }
    #callBack() {
        for (const number of this.#registry.due()) {
            const free = this.#free.get(number);
            this.#free.delete(number);
            try {
                free?.();
            }
            catch (error) {
                // It does not concern the others, nor the caller.
                queueMicrotask(() => {
                    throw error;
                });
            }
        }
    }
}
exports.MemoryRegistry = MemoryRegistry;
/**
 * Has `send` called with what goes along, checked and duplicated. What it leaves of that is closed when it has ended, whatever
 * came of it: duplicates that wait for the collector use up a process's descriptors, of which the collector knows nothing.
 */
function carrying(buffers, attachments, send) {
    const copied = (0, arguments_1.list)('buffers', buffers, 'give an array of Buffers and MemoryRegions; options come after it');
    const objects = (0, arguments_1.list)('objects', attachments.objects, 'give an array of Objects');
    const regions = (0, arguments_1.list)('memoryRegions', attachments.memoryRegions, 'give an array of MemoryRegions');
    if (copied.length + objects.length + regions.length === 0)
        return send(undefined);
    const attached = new native_1.native.Luggage();
    const close = () => attached.close();
    try {
        pack(attached, copied, objects, regions);
        return send(attached).finally(close);
    }
    catch (error) {
        close();
        throw error;
    }
}
function pack(made, copied, objects, regions) {
    objects.forEach((object, index) => {
        const place = `objects[${index}]`;
        const own = BusObject.native(object);
        if (own?.closed)
            throw new RangeError(`${place} is an Object that is closed: its descriptor is gone`);
        const descriptor = own ?? opened(place, object);
        try {
            (0, errors_1.call)(() => made.object(descriptor));
        }
        finally {
            if (!own)
                descriptor.close();
        }
    });
    // What is one too many is so because of all of them.
    const all = [copied.length > 0 ? 'buffers' : '', regions.length > 0 ? 'memoryRegions' : ''].filter(Boolean).join(' with ');
    const share = (place, region) => {
        if (region.closed)
            throw new RangeError(`${place} is a MemoryRegion that is closed: its memory is let go`);
        (0, errors_1.call)(() => made.region(region, all));
    };
    copied.forEach((buffer, index) => {
        const place = `buffers[${index}]`;
        const region = MemoryRegion.native(buffer);
        if (region)
            return share(place, region);
        const data = (0, arguments_1.bytes)(place, buffer, 'give a Buffer, another view of bytes, or a MemoryRegion');
        if (data.length === 0)
            throw new RangeError(`${place} is empty: give 1 byte or more`);
        return (0, errors_1.call)(() => made.copy(data, all));
    });
    regions.forEach((item, index) => {
        const place = `memoryRegions[${index}]`;
        const region = MemoryRegion.native(item);
        if (!region)
            throw (0, arguments_1.wrongType)(place, item, 'give MemoryRegions');
        share(place, region);
    });
}
