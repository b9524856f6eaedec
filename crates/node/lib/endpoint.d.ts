/** Endpoints, and joining a bus. */
import { type Abortable } from './aborting';
import { Receiver } from './receiver';
import { Sender } from './sender';
import { type EndpointInfo, UUID } from './values';
export interface Options {
    /** The name of the bus. */
    identifier: string;
    /** What describes the endpoint. */
    label?: readonly string[];
    /** The secret of the bus; empty, or left out, for none. */
    token?: string | Uint8Array;
    /** Whether the endpoint may play controller; it may, if left out. */
    controllerAffinity?: boolean;
    /** Users whose processes may be on the bus, beside the own one and root. The same for all its endpoints. */
    users?: readonly number[];
    /** Types with a UUID of their own that this receiver takes, as `Typed`. */
    types?: ReadonlyArray<UUID | string>;
}
/** Everything an endpoint has counted, as in Python's `stats()`. */
export interface Stats {
    readonly sent: number;
    readonly received: number;
    readonly skipped: number;
    readonly dropped: number;
    readonly expired: number;
    readonly redelivered: number;
    readonly duplicates: number;
    readonly refused: number;
    readonly shortages: number;
    readonly takeovers: number;
    readonly waiting: number;
    readonly bytesSent: number;
    readonly bytesReceived: number;
    readonly droppedByReason: Readonly<Record<string, number>>;
    readonly refusedByReason: Readonly<Record<string, number>>;
    readonly shortagesByKind: Readonly<Record<string, number>>;
}
/** Somebody joined, or left. */
export interface PeerEvent {
    readonly kind: 'joined' | 'left';
    readonly peer: EndpointInfo;
    /** Why it left, where anybody knows: `closed`, `died`, `expelled`, `vanished`. */
    readonly reason?: string;
}
/** Who joins and leaves, as it happens. */
export interface PeerEvents extends AsyncIterableIterator<PeerEvent> {
    /** Ends it, at the end of `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/** One who is on a bus. */
export declare class Endpoint {
    #private;
    readonly identifier: string;
    readonly label: readonly string[];
    readonly sender: Sender;
    readonly receiver: Receiver;
    protected constructor();
    /** Number that no other endpoint of the bus has. */
    get id(): bigint;
    /** Whether it plays controller now. */
    get isController(): boolean;
    /** Everybody on the bus but this one. */
    peers(): EndpointInfo[];
    /** What it has counted so far. */
    stats(): Stats;
    /** Tells who joins and leaves from now on, until the loop is left or the endpoint closed. */
    watch(): PeerEvents;
    /** Closes both halves and leaves the bus. Closing twice is fine. */
    close(): void;
}
export interface Endpoint {
    /** Closes it, at the end of `using`. */
    [Symbol.dispose](): void;
    /** Closes it, at the end of `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/** An endpoint that joins. Its halves can be used at once; awaited, it is the endpoint that has joined. */
export declare class JoiningEndpoint extends Endpoint implements PromiseLike<Endpoint> {
    #private;
    private constructor();
    then<Result = Endpoint, Otherwise = never>(joined?: ((endpoint: Endpoint) => Result | PromiseLike<Result>) | null, failed?: ((error: unknown) => Otherwise | PromiseLike<Otherwise>) | null): Promise<Result | Otherwise>;
    catch<Otherwise = never>(failed?: ((error: unknown) => Otherwise | PromiseLike<Otherwise>) | null): Promise<Endpoint | Otherwise>;
    finally(over?: (() => void) | null): Promise<Endpoint>;
}
/**
 * Joins a bus.
 *
 * What is returned can be used at once: what is sent is sent when the endpoint has joined, and `recv` waits. Await it to know
 * when that is, and what was in the way: `VersionMismatch`, `TokenMismatch`, `PermissionDenied`, `JoinTimeout`. Whoever does
 * not is told by `send` and `recv`.
 *
 * @param timeout Milliseconds; null, `Infinity` and nothing are for ever. A join takes a few round trips: with 0 it rarely succeeds.
 * @param waiting Its signal gives up joining when it is aborted.
 */
export declare function join(options: Options, timeout?: number | null, waiting?: Abortable): JoiningEndpoint;
