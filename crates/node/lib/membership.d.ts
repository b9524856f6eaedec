/** One endpoint's way onto the bus, which both its halves wait for. */
import type { core } from './native';
export declare class Membership {
    #private;
    readonly name: string;
    /** Ends with the joining. Whoever waits for it hears of its failure; if nobody does, the process does. */
    readonly settled: Promise<void>;
    /** Once it has joined. */
    endpoint: core.Endpoint | undefined;
    /** Once joining has failed. */
    failure: unknown;
    /** `begin` starts to join, and `name` is what people know the endpoint by. */
    constructor(begin: () => core.Joining, timeout: number, signal: AbortSignal | undefined, name: string);
    /** The endpoint; an error while it has not joined. */
    joined(): core.Endpoint;
    /** What people are shown of it; `closed`: of a half that is. */
    shown(closed: boolean): string;
    /** Closes one half, now or as soon as there is one. */
    closeHalf(close: (endpoint: core.Endpoint) => void): void;
    /** Leaves the bus, or gives up joining it. */
    close(): void;
}
