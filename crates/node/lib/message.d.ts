/** A message that came. */
import { type Attachments, MemoryRegion, Object as BusObject } from './attachments';
import { type Abortable } from './aborting';
import { LabelOp, SelectorMode } from './label_op';
import type { BytesMessage, EndpointInfo } from './values';
/** Where a message was sent to. */
export interface SentTo {
    readonly labelOp: LabelOp;
    readonly mode: SelectorMode;
    /** Milliseconds; `Infinity` is for ever. */
    readonly ttl: number;
}
export declare class Message {
    #private;
    /** What was sent, as a plain value. */
    readonly payload: unknown;
    /** Who sent it. */
    readonly sender: EndpointInfo;
    /** The first receiver died before it had read it. */
    readonly redelivered: boolean;
    /** Descriptors that came with it. Each is closed when it is collected. */
    readonly objects: readonly BusObject[];
    /** Regions that came with it. */
    readonly memoryRegions: readonly MemoryRegion[];
    private constructor();
    /** The bytes of the payload; those of anything but a `BytesMessage` have the format 0. */
    get bytesMessage(): BytesMessage;
    get selector(): SentTo;
    /** Whether its sender waits for a reply. */
    get isRequest(): boolean;
    /**
     * Replies to a request; on any other message it is a plain message back to its sender. Resolves to 1, or 0 where nobody is
     * there any more.
     */
    reply(value: unknown, attachments?: Attachments & Abortable): Promise<number>;
    /**
     * Replies to a request that it failed: whoever asked gets a `RemoteError` with the name and the text of this error. Resolves to 1, or
     * 0 where nobody is there any more.
     */
    fail(error: Error): Promise<number>;
    /** Closes the objects and regions that came with it. */
    close(): void;
}
export interface Message {
    /** Closes what came with it, at the end of `using`. */
    [Symbol.dispose](): void;
}
