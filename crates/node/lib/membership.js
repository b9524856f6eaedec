"use strict";
/** One endpoint's way onto the bus, which both its halves wait for. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Membership = void 0;
const aborting_1 = require("./aborting");
const errors_1 = require("./errors");
const waiting_1 = require("./waiting");
class Membership {
    name;
    /** Ends with the joining. Whoever waits for it hears of its failure; if nobody does, the process does. */
    settled;
    /** Once it has joined. */
    endpoint;
    /** Once joining has failed. */
    failure;
    #joining;
    #settle;
    #whenJoined = [];
    #endWait = () => { };
    #endTimer = () => { };
    #endSignal = () => { };
    /** `begin` starts to join, and `name` is what people know the endpoint by. */
    constructor(begin, timeout, signal, name) {
        this.name = name;
        this.settled = new Promise((resolve, reject) => {
            this.#settle = { resolve, reject };
        });
        if (signal?.aborted) {
            this.#fail(signal.reason);
            return;
        }
        this.#joining = begin();
        this.#endTimer = (0, waiting_1.after)(timeout, () => this.#look(true));
        this.#endSignal = (0, aborting_1.onAbort)(signal, (reason) => this.#fail(reason));
        this.#look(timeout === 0);
    }
    get #over() {
        return this.endpoint !== undefined || this.failure !== undefined;
    }
    #look(late) {
        const joining = this.#joining;
        if (this.#over || !joining)
            return;
        this.#endWait();
        try {
            const endpoint = joining.poll(late);
            if (endpoint) {
                this.endpoint = endpoint;
                this.#endTimer();
                this.#endSignal();
                for (const act of this.#whenJoined.splice(0))
                    act(endpoint);
                this.#settle.resolve();
            }
            else {
                this.#endWait = (0, waiting_1.wait)((hub, number) => hub.awaitJoining(number, joining), () => this.#look(false));
            }
        }
        catch (thrown) {
            this.#fail((0, errors_1.told)(thrown));
        }
    }
    #fail(failure) {
        // A signal's reason may be anything, null too.
        this.failure = failure === undefined ? new errors_1.JoinError('joining failed') : failure;
        this.#endWait();
        this.#endTimer();
        this.#endSignal();
        this.#joining?.giveUp();
        this.#settle.reject(this.failure);
    }
    /** The endpoint; an error while it has not joined. */
    joined() {
        if (this.failure !== undefined)
            throw this.failure;
        if (!this.endpoint)
            throw new errors_1.JoinError('joining is not over: await what join() has returned');
        return this.endpoint;
    }
    /** What people are shown of it; `closed`: of a half that is. */
    shown(closed) {
        const { endpoint, failure } = this;
        if (closed || endpoint?.closed || failure instanceof errors_1.Closed)
            return `${this.name}, closed`;
        if (failure !== undefined)
            return `${this.name}, failed`;
        return endpoint ? this.name : `${this.name}, joining`;
    }
    /** Closes one half, now or as soon as there is one. */
    closeHalf(close) {
        if (this.endpoint)
            return close(this.endpoint);
        this.#whenJoined.push(close);
        // Nobody is left who would use it.
        if (this.#whenJoined.length === 2)
            this.close();
    }
    /** Leaves the bus, or gives up joining it. */
    close() {
        // Whoever gives it up does not ask what became of it.
        this.settled.catch(() => { });
        if (this.endpoint) {
            this.endpoint.close();
        }
        else if (!this.#over) {
            this.#fail(new errors_1.Closed('joining was given up: join again'));
        }
    }
}
exports.Membership = Membership;
