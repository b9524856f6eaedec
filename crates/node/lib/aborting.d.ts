/** Ending a wait from outside, by an `AbortSignal`. */
/** A wait that can be ended. */
export interface Abortable {
    /** Ends the wait when it is aborted: what was returned rejects with its reason. */
    signal?: AbortSignal | null | undefined;
}
export declare function signal(value: AbortSignal | null | undefined): AbortSignal | undefined;
/** The signal of options that hold nothing else. */
export declare function signalOf(given: Abortable | undefined): AbortSignal | undefined;
export declare function throwIfAborted(signal: AbortSignal | undefined): void;
type End = (reason: unknown) => void;
/**
 * Has `end` called once when a signal that is not aborted yet is. The function that comes back ends that; calling it late, or
 * twice, is fine.
 */
export declare function onAbort(signal: AbortSignal | undefined, end: End): () => void;
export {};
