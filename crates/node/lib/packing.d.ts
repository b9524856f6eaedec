/**
 * MessagePack of the values that are sent, strictly: what would not arrive equal is refused, with its place in the payload.
 *
 * What MessagePack has no type for is an extension: 1 a UUID, 2 a point in time, 3 a `BytesMessage`, 11 an object of a type with
 * a UUID. `docs/payloads.md` has the table for all languages.
 */
/** How deep lists and maps may stand in each other. */
export declare const DEPTH = 200;
/** Encodes one value. Errors name it `payload`. */
export declare function encode(value: unknown): Buffer;
/** A format, as it stands before the data. */
export declare function formatBytes(format: number): Buffer;
