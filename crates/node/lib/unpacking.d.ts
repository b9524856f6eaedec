/**
 * From MessagePack to values. The bytes are a peer's, and nothing in them is believed: lengths are held to what is there,
 * nesting to a bound, and whatever is wrong is an error that says what.
 *
 * Beside what is sent from here there is extension 10: a buffer that lies beside the message, in shared memory.
 */
import { BytesMessage } from './values';
export declare function decodeText(data: Uint8Array): string;
/** The `BytesMessage` of these bytes. */
export declare function readBytesMessage(data: Buffer): BytesMessage;
/** Decodes one value, and nothing may follow it. `bulk` is what lies beside it in shared memory. */
export declare function decode(data: Buffer, bulk?: Buffer): unknown;
/** Some bytes of what lies beside a message. */
export declare function range(bulk: Buffer | undefined, offset: number, size: number): Buffer;
