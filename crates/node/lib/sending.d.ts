/** Messages on their way out: those that find no room wait, and those behind them to the same target keep their order. */
import type { core } from './native';
/** Tries a message that found no room until it is done. The function that comes back ends that. */
export declare function drive(pending: core.Pending, done: (reached: number) => void, failed: (error: unknown) => void): () => void;
/** Messages that wait, by their target: the first of each is tried. */
export declare class Lanes {
    #private;
    get empty(): boolean;
    has(key: string): boolean;
    /** Has none tried until `run`: there is no endpoint yet. */
    hold(): void;
    /** Puts a message behind the others of its lane. `pending` is the message itself, if it was tried. */
    push(key: string, limit: number, start: () => number | core.Pending, pending?: core.Pending, signal?: AbortSignal): Promise<number>;
    /** Tries the first of every lane that was not tried. */
    run(): void;
    /** Ends all: what waits is not sent. */
    fail(error: unknown): void;
}
/** Requests whose replies are waited for. */
export declare class Replies {
    #private;
    readonly requests: core.Requests;
    constructor(requests: core.Requests);
    /** Has `ended` called with what became of a number, or an error that ends all. */
    expect(number: bigint, ended: (answer: core.Answer | undefined, error?: unknown) => void): void;
    /** Nobody waits for this number any more. */
    forget(number: bigint): void;
}
/** The error of a request that got none. */
export declare function refusal(answer: core.Answer): Error;
