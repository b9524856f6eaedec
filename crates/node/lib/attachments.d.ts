/** What travels beside a payload: descriptors, and memory that is shared. */
import { type core } from './native';
/**
 * A descriptor that can be attached to a message: a file, a socket, a pipe's end.
 *
 * It owns a duplicate of the one it is made of, which stays the caller's, and closes it when it is closed or collected.
 */
declare class BusObject {
    #private;
    /** Of the number of an open descriptor, or of anything with an `fd` (a `FileHandle`, an `fs.ReadStream`). */
    constructor(fd: number | {
        readonly fd: number;
    });
    /** The number. It stays this object's: do not close it. */
    value(): number;
    /** The number, which is the caller's to close from now on. */
    detach(): number;
    /** Closes it. Closing twice is fine. */
    close(): void;
    get closed(): boolean;
}
interface BusObject {
    /** Closes it, at the end of `using`. */
    [Symbol.dispose](): void;
}
export { BusObject as Object };
/**
 * Memory that several processes hold at once. It is writable by all who hold it until it is frozen.
 *
 * A hold ends when it is closed or collected; buffers made by `map` keep the memory on their own.
 */
export declare class MemoryRegion {
    #private;
    /** New memory of so many bytes, zeroed. */
    constructor(size: number);
    get size(): number;
    /** How many endpoints hold it, on the whole machine. */
    get refCount(): number;
    /** Whether it is read-only for everybody, for ever. */
    get frozen(): boolean;
    get closed(): boolean;
    /**
     * Some of its bytes (`size` -1: to the end), without a copy: what is written to the buffer others see. It stays valid when
     * the region is closed. Of a frozen region it is a copy of one's own, made page by page where it is written to.
     */
    map(offset?: number, size?: number): Buffer;
    /** Copies bytes in, from `offset` on. Unlike `map` it leaves nothing behind that could write to the region. */
    write(data: Uint8Array, offset?: number): void;
    /** A copy of some of its bytes (`size` -1: to the end). */
    read(offset?: number, size?: number): Buffer;
    /** Makes it read-only for everybody, for ever. For the sole holder, before it is sent and mapped: `write` fills it. */
    freeze(): void;
    /** Another hold on the same memory. */
    clone(): MemoryRegion;
    /** Gives up this hold. Closing twice is fine. */
    close(): void;
}
export interface MemoryRegion {
    /** Closes it, at the end of `using`. */
    [Symbol.dispose](): void;
}
/** A pool of regions: memory that nobody holds any more is used again. */
export declare class MemoryRegistry {
    #private;
    /**
     * A region of at least so many bytes that nobody else holds, of those with the same tag. What is in it is left of its last
     * use. `free` is called once, by a later `alloc` or `maintain`, when nobody holds it any more.
     */
    alloc(minSize: number, tag?: string | null, free?: () => void): MemoryRegion;
    /** Calls what is due, and gives memory back to the system that was not held for a while. */
    maintain(): void;
}
/** What goes along with a payload. */
export interface Attachments {
    /** Descriptors: each receiver gets duplicates. */
    objects?: ReadonlyArray<BusObject | number | {
        readonly fd: number;
    }>;
    /** Regions: each receiver holds them too. */
    memoryRegions?: readonly MemoryRegion[];
}
type Buffers = ReadonlyArray<Uint8Array | MemoryRegion> | undefined;
/**
 * Has `send` called with what goes along, checked and duplicated. What it leaves of that is closed when it has ended, whatever
 * came of it: duplicates that wait for the collector use up a process's descriptors, of which the collector knows nothing.
 */
export declare function carrying<Outcome>(buffers: Buffers, attachments: Attachments, send: (attached: core.Luggage | undefined) => Promise<Outcome>): Promise<Outcome>;
