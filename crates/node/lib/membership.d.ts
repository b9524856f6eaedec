/** One endpoint's way onto the bus, which both its halves wait for. */
import type { core } from './native';
export declare class Membership {
    #private;
    /** Ends with the joining. Whoever waits for it hears of its failure; if nobody does, the process does. */
    readonly settled: Promise<void>;
    /** Once it has joined. */
    endpoint: core.Endpoint | undefined;
    /** Once joining has failed. */
    failure: unknown;
    constructor(joining: core.Joining, timeout: number);
    /** The endpoint; an error while it has not joined. */
    joined(): core.Endpoint;
    /** Closes one half, now or as soon as there is one. */
    closeHalf(close: (endpoint: core.Endpoint) => void): void;
    /** Leaves the bus, or gives up joining it. */
    close(): void;
}
