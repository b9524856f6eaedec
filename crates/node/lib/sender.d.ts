/** The sending half of an endpoint. */
import { type Abortable } from './aborting';
import { type Attachments, type MemoryRegion } from './attachments';
import { type LabelOp, type Selector } from './label_op';
import { Message } from './message';
export interface SendOptions extends Attachments, Abortable {
    /** Milliseconds to wait for room; null, `Infinity` and nothing are for ever. */
    timeout?: number | null;
    /** Without room: wait (this if left out), fail at once with nothing sent, or drop the message there and count it. */
    overflow?: 'block' | 'error' | 'drop';
}
export interface RequestOptions extends Attachments, Abortable {
    /** Milliseconds until the reply has to be there; null, `Infinity` and nothing are for ever. */
    timeout?: number | null;
}
/** What can be sent to: a string and a `LabelOp` mean one of those who match. */
export type To = Selector | LabelOp | string;
export declare class Sender {
    #private;
    private constructor();
    /**
     * Sends a message. Resolves to how many endpoints have it: 0 when nobody matched (with a ttl it waits then), or when it was
     * dropped. It is sent before this returns, if there is room; messages to the same selector keep their order, awaited or not.
     *
     * A signal that is aborted while it waits for room takes it back; who of many has it already keeps it.
     *
     * `buffers` travel as memory regions: of a Buffer a copy, a `MemoryRegion` as it is.
     */
    send(selector: To, message: unknown, buffers?: ReadonlyArray<Uint8Array | MemoryRegion>, given?: SendOptions): Promise<number>;
    /**
     * Asks one of those who match, and resolves to the reply. `NoRoute` if nobody matches until the ttl is over, `PeerLost` if the
     * one asked dies before it has replied, `RecvTimeout` when the time is over.
     */
    request(selector: To, message: unknown, given?: RequestOptions): Promise<Message>;
    /** Closes this half. What was sent stays sent. */
    close(): void;
    get closed(): boolean;
}
export interface Sender {
    /** Closes it, at the end of `using`. */
    [Symbol.dispose](): void;
}
