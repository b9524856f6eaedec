"use strict";
/** The receiving half of an endpoint. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Receiver = void 0;
const aborting_1 = require("./aborting");
const arguments_1 = require("./arguments");
const disposing_1 = require("./disposing");
const errors_1 = require("./errors");
const membership_1 = require("./membership");
const message_1 = require("./message");
const queue_1 = require("./queue");
const showing_1 = require("./showing");
const waiting_1 = require("./waiting");
class Waiter extends queue_1.Queued {
    resolve;
    reject;
    endTimer = () => { };
    endSignal = () => { };
    constructor(resolve, reject) {
        super();
        this.resolve = resolve;
        this.reject = reject;
    }
}
/**
 * Takes messages. Iterating with `for await` gives them until it is closed.
 *
 * An open receiver keeps the process alive only while somebody waits for a message.
 */
class Receiver {
    #membership;
    #takes;
    #back;
    #origins = new message_1.Origins();
    #waiters = new queue_1.Queue();
    #core;
    #sender;
    #endWait;
    #closed = false;
    #waits = false;
    #looked = false;
    #burst = new waiting_1.Burst();
    constructor(membership, takes, back) {
        if (!(membership instanceof membership_1.Membership))
            throw (0, arguments_1.notMade)('a Receiver', 'join()');
        this.#membership = membership;
        this.#takes = takes;
        this.#back = back;
    }
    /**
     * The next message. Waits so many milliseconds; null, `Infinity` and nothing are for ever, 0 only looks. Rejects with
     * `RecvTimeout`, with `DecodeError` for a message that is not what it says (the next call goes on), with `Closed`; with
     * the reason of a signal that is aborted, which leaves all messages to the next call.
     */
    recv(timeout, options) {
        return new Promise((resolve, reject) => {
            const limit = (0, arguments_1.millis)('timeout', timeout);
            const signal = (0, aborting_1.signalOf)(options);
            (0, aborting_1.throwIfAborted)(signal);
            const last = limit === 0;
            // Whoever is served here goes on before the loop's next turn, and asks for more: that counts too.
            if (last || !this.#burst.isOver()) {
                this.#serve();
                const message = this.#waiters.first ? undefined : this.#poll(last);
                if (message)
                    return resolve(message);
            }
            if (last)
                throw this.#tooLate();
            const waiter = new Waiter(resolve, reject);
            waiter.endTimer = (0, waiting_1.after)(limit, () => this.#late(waiter));
            waiter.endSignal = (0, aborting_1.onAbort)(signal, (reason) => this.#end(waiter, () => reject(reason)));
            this.#waiters.push(waiter);
            try {
                this.#watch();
            }
            catch (thrown) {
                this.#end(waiter, () => reject((0, errors_1.told)(thrown)));
            }
        });
    }
    /** Closes this half: unread messages go to others who match, and who waits gets `Closed`. */
    close() {
        if (this.#closed)
            return;
        this.#closed = true;
        this.#membership.closeHalf((endpoint) => endpoint.receiver(this.#takes).close());
        this.#fail(closed());
    }
    get closed() {
        return this.#closed || (this.#core?.closed ?? false);
    }
    [Symbol.asyncIterator]() {
        const iterator = {
            next: async () => {
                try {
                    return { value: await this.recv(), done: false };
                }
                catch (error) {
                    if (error instanceof errors_1.Closed)
                        return { value: undefined, done: true };
                    throw error;
                }
            },
            return: () => Promise.resolve({ value: undefined, done: true }),
            [Symbol.asyncIterator]: () => iterator,
        };
        return iterator;
    }
    /** The native half, once there is one. */
    #native() {
        if (this.#closed)
            throw closed();
        if (this.#membership.failure !== undefined)
            throw this.#membership.failure;
        const { endpoint } = this.#membership;
        if (!this.#core && endpoint) {
            this.#core = endpoint.receiver(this.#takes);
            this.#sender = endpoint.sender();
        }
        return this.#core;
    }
    /** The next message, if one is there; `last`: for one who is about to say that there is none. */
    #poll(last) {
        let received;
        try {
            received = this.#native()?.poll(last);
        }
        catch (thrown) {
            this.#core?.refuseUnseen();
            throw (0, errors_1.told)(thrown);
        }
        return received ? message_1.Message.of(received, this.#origins, this.#back, this.#sender) : undefined;
    }
    /** Gives messages to those who wait, while there are any of both. */
    #serve(last = false) {
        for (;;) {
            const waiter = this.#waiters.first;
            if (!waiter)
                return;
            try {
                const message = this.#poll(last);
                if (!message)
                    return;
                this.#end(waiter, () => waiter.resolve(message));
            }
            catch (error) {
                this.#end(waiter, () => waiter.reject(error));
            }
        }
    }
    #watch() {
        if (this.#endWait || !this.#waiters.first)
            return;
        const core = this.#native();
        if (core) {
            this.#endWait = (0, waiting_1.wait)((hub, number) => hub.awaitMessage(number, core), () => this.#ready());
        }
        else if (!this.#waits) {
            this.#waits = true;
            this.#membership.settled.then(() => this.#ready(), (failure) => this.#fail(failure));
        }
    }
    #ready() {
        this.#endWait = undefined;
        this.#burst.end();
        this.#serve();
        try {
            this.#watch();
        }
        catch (thrown) {
            this.#fail((0, errors_1.told)(thrown));
        }
    }
    #late(waiter) {
        // What has come while this thread did something else counts. Of many whose time is over at once the first one looks.
        if (!this.#looked) {
            this.#looked = true;
            setImmediate(() => (this.#looked = false));
            this.#serve(true);
        }
        this.#end(waiter, () => waiter.reject(this.#tooLate()));
    }
    #tooLate() {
        const text = 'no message came in time: give a longer timeout, or look whether anybody sends';
        return new errors_1.RecvTimeout(this.#core?.late() ?? text);
    }
    #end(waiter, settle) {
        if (!this.#waiters.remove(waiter))
            return;
        waiter.endTimer();
        waiter.endSignal();
        if (!this.#waiters.first)
            this.#forget();
        settle();
    }
    #forget() {
        this.#endWait?.();
        this.#endWait = undefined;
    }
    #fail(error) {
        for (;;) {
            const waiter = this.#waiters.first;
            if (!waiter)
                return;
            this.#end(waiter, () => waiter.reject(error));
        }
    }
    /** @internal */
    static of(membership, takes, back) {
        return new Receiver(membership, takes, back);
    }
    static {
        (0, showing_1.shown)('Receiver', this, (self) => self.#membership.shown(self.closed));
    }
}
exports.Receiver = Receiver;
(0, disposing_1.disposable)(Receiver);
function closed() {
    return new errors_1.Closed('the receiver is closed: join again to receive');
}
