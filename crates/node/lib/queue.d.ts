/**
 * A queue that any of those in it can leave, however many there are: each knows who stands before and behind it.
 *
 * An array would move all who stand behind, or search for the one who leaves; a `Set` steps over all who have left on its way
 * to the first.
 */
/** One who can stand in a queue: in one at a time. */
export declare class Queued<T> {
    /** Where it stands. */
    queue: object | undefined;
    before: T | undefined;
    behind: T | undefined;
}
export declare class Queue<T extends Queued<T>> {
    #private;
    get first(): T | undefined;
    push(item: T): void;
    /** Takes it out; whether it was in there. */
    remove(item: T): boolean;
}
