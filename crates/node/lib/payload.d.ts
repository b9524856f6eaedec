/** What a payload travels as: the UUID of its type, and its bytes. The table is that of `docs/payloads.md`. */
import type { core } from './native';
import { BytesMessage, type EndpointInfo, Typed, UUID } from './values';
/** A payload ready to be sent: its UUID, and its bytes in two parts. */
export interface Encoded {
    readonly kind: Uint8Array;
    readonly head: Uint8Array;
    readonly data: Uint8Array;
}
/** The UUIDs that a receiver takes, one after another: those of the table, and these. */
export declare function takes(types: readonly UUID[]): Uint8Array;
/** Encodes a payload. Bytes are not copied. */
export declare function encode(payload: unknown): Encoded;
/** What an error travels as, in reply to a request. */
export declare function failure({ name, message, stack }: Error): Typed;
/** The payload of a message. */
export declare function decode(received: core.Received, sender: EndpointInfo): unknown;
/** The bytes of a payload, as they travelled; those of a `BytesMessage` with its format. */
export declare function raw(received: core.Received, payload: unknown): BytesMessage;
