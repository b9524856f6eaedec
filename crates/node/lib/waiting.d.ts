/**
 * Waiting in the event loop: a callback when something may be tried again, and when a time is over.
 *
 * While anything waits the process stays alive; when nothing does, whatever is open, it may end.
 */
declare const hub: import("./core").Hub;
/** One that fails must not keep the others from being told. */
export declare function guarded(act: () => void): void;
type Hub = typeof hub;
/**
 * Has `ready` called once when what `begin` waits for may be there; soon, when that says `false`: there is nothing to wait
 * for. The function that comes back ends the wait; calling it late, or twice, is fine.
 */
export declare function wait(begin: (hub: Hub, number: number) => boolean | void, ready: () => void): () => void;
/** Has `over` called after so many milliseconds; never after `Infinity`. The function that comes back cancels it. */
export declare function after(millis: number, over: () => void): () => void;
/** How long one has gone on without a turn of the event loop. */
export declare class Burst {
    #private;
    /** Counts a step. Whether others should have their turn before the next. */
    isOver(): boolean;
    /** Others had their turn. */
    end(): void;
}
export {};
