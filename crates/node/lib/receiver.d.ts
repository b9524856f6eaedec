/** The receiving half of an endpoint. */
import { type Abortable } from './aborting';
import { Message } from './message';
/**
 * Takes messages. Iterating with `for await` gives them until it is closed.
 *
 * An open receiver keeps the process alive only while somebody waits for a message.
 */
export declare class Receiver implements AsyncIterable<Message> {
    #private;
    private constructor();
    /**
     * The next message. Waits so many milliseconds; null, `Infinity` and nothing are for ever, 0 only looks. Rejects with
     * `RecvTimeout`, with `DecodeError` for a message that is not what it says (the next call goes on), with `Closed`; with
     * the reason of a signal that is aborted, which leaves all messages to the next call.
     */
    recv(timeout?: number | null, options?: Abortable): Promise<Message>;
    /** Closes this half: unread messages go to others who match, and who waits gets `Closed`. */
    close(): void;
    get closed(): boolean;
    [Symbol.asyncIterator](): AsyncIterableIterator<Message>;
}
export interface Receiver {
    /** Closes it, at the end of `using`. */
    [Symbol.dispose](): void;
}
