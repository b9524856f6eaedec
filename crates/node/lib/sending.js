"use strict";
/** Messages on their way out: those that find no room wait, and those behind them to the same target keep their order. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Replies = exports.Lanes = void 0;
exports.drive = drive;
exports.refusal = refusal;
const aborting_1 = require("./aborting");
const errors_1 = require("./errors");
const queue_1 = require("./queue");
const waiting_1 = require("./waiting");
/** Milliseconds until a wait is tried again for which this process had no descriptor. */
const HUNGRY = 20;
/** Tries a message that found no room until it is done. The function that comes back ends that. */
function drive(pending, done, failed) {
    let endWait = () => { };
    let endTimer = () => { };
    const stop = () => {
        endWait();
        endTimer();
    };
    const tryAgain = () => {
        stop();
        try {
            if (pending.poll())
                return done(pending.reached);
        }
        catch (thrown) {
            return failed((0, errors_1.told)(thrown));
        }
        rest();
    };
    const rest = () => {
        let pause = pending.delay ?? Infinity;
        try {
            endWait = (0, waiting_1.wait)((hub, number) => hub.awaitRoom(number, pending), tryAgain);
        }
        catch {
            pause = Math.min(pause, HUNGRY);
        }
        endTimer = (0, waiting_1.after)(pause, tryAgain);
    };
    rest();
    return stop;
}
/** One message, tried or not. */
class Parcel extends queue_1.Queued {
    start;
    resolve;
    reject;
    pending;
    /** Whether it is tried again and again, and what ends that. */
    driven = false;
    stop = () => { };
    endTimer = () => { };
    endSignal = () => { };
    /** `start` tries it for the first time; `pending` is the message itself, once it was tried. */
    constructor(start, resolve, reject, pending) {
        super();
        this.start = start;
        this.resolve = resolve;
        this.reject = reject;
        this.pending = pending;
    }
}
/** Messages that wait, by their target: the first of each is tried. */
class Lanes {
    #lanes = new Map();
    #held = false;
    get empty() {
        return this.#lanes.size === 0;
    }
    has(key) {
        return this.#lanes.has(key);
    }
    /** Has none tried until `run`: there is no endpoint yet. */
    hold() {
        this.#held = true;
    }
    /** Puts a message behind the others of its lane. `pending` is the message itself, if it was tried. */
    push(key, limit, start, pending, signal) {
        return new Promise((resolve, reject) => {
            const parcel = new Parcel(start, resolve, reject, pending);
            let lane = this.#lanes.get(key);
            if (!lane)
                this.#lanes.set(key, (lane = new queue_1.Queue()));
            lane.push(parcel);
            if (limit === 0)
                return this.#late(key, parcel);
            parcel.endTimer = (0, waiting_1.after)(limit, () => this.#late(key, parcel));
            parcel.endSignal = (0, aborting_1.onAbort)(signal, (reason) => {
                this.#end(key, parcel, () => parcel.reject(reason));
                this.#run(key);
            });
            if (lane.first === parcel && pending)
                this.#drive(key, parcel, pending);
        });
    }
    /** Tries the first of every lane that was not tried. */
    run() {
        this.#held = false;
        for (const key of [...this.#lanes.keys()])
            this.#run(key);
    }
    /** Ends all: what waits is not sent. */
    fail(error) {
        for (const [key, lane] of [...this.#lanes]) {
            for (;;) {
                const parcel = lane.first;
                if (!parcel)
                    break;
                this.#end(key, parcel, () => parcel.reject(error));
            }
        }
    }
    #run(key) {
        while (!this.#held) {
            const parcel = this.#lanes.get(key)?.first;
            if (!parcel || parcel.driven)
                return;
            if (parcel.pending)
                return this.#drive(key, parcel, parcel.pending);
            try {
                const result = parcel.start();
                if (typeof result !== 'number')
                    return this.#drive(key, parcel, result);
                this.#end(key, parcel, () => parcel.resolve(result));
            }
            catch (thrown) {
                this.#end(key, parcel, () => parcel.reject((0, errors_1.told)(thrown)));
            }
        }
    }
    #drive(key, parcel, pending) {
        parcel.pending = pending;
        parcel.driven = true;
        const go = (settle) => {
            this.#end(key, parcel, settle);
            this.#run(key);
        };
        parcel.stop = drive(pending, (reached) => go(() => parcel.resolve(reached)), (error) => go(() => parcel.reject(error)));
    }
    /** Takes a message out of its lane, and tells what became of it. */
    #end(key, parcel, settle) {
        const lane = this.#lanes.get(key);
        if (!lane?.remove(parcel))
            return;
        if (!lane.first)
            this.#lanes.delete(key);
        parcel.stop();
        parcel.endTimer();
        parcel.endSignal();
        // Whoever does not have it yet will not; for one that is done this is nothing.
        parcel.pending?.giveUp();
        settle();
    }
    #late(key, parcel) {
        const { pending } = parcel;
        try {
            if (pending?.poll()) {
                this.#end(key, parcel, () => parcel.resolve(pending.reached));
                return this.#run(key);
            }
        }
        catch (thrown) {
            this.#end(key, parcel, () => parcel.reject((0, errors_1.told)(thrown)));
            return this.#run(key);
        }
        const have = pending?.reached ?? 0;
        const some = have === 0 ? 'whoever it is for reads too slowly' : `${have} have it, the others read too slowly`;
        const error = new errors_1.SendTimeout(`no room for the message in time: ${some}; give a longer timeout`, have);
        this.#end(key, parcel, () => parcel.reject(error));
        this.#run(key);
    }
}
exports.Lanes = Lanes;
/** Requests whose replies are waited for. */
class Replies {
    requests;
    #waiting = new Map();
    #endWait;
    constructor(requests) {
        this.requests = requests;
    }
    /** Has `ended` called with what became of a number, or an error that ends all. */
    expect(number, ended) {
        this.#waiting.set(number, ended);
        this.#watch();
    }
    /** Nobody waits for this number any more. */
    forget(number) {
        if (this.#waiting.delete(number))
            this.requests.forget(number);
        if (this.#waiting.size === 0) {
            this.#endWait?.();
            this.#endWait = undefined;
        }
    }
    #watch() {
        if (this.#endWait || this.#waiting.size === 0)
            return;
        this.#endWait = (0, waiting_1.wait)((hub, number) => hub.awaitReplies(number, this.requests), () => this.#collect());
    }
    #collect() {
        this.#endWait = undefined;
        try {
            for (const answer of this.requests.collect()) {
                const ended = this.#waiting.get(answer.number);
                this.#waiting.delete(answer.number);
                ended?.(answer);
            }
        }
        catch (thrown) {
            const error = (0, errors_1.told)(thrown);
            if (error.code === 'TooManyOpenFiles') {
                // Nothing tells when there is room for them.
                this.#endWait = (0, waiting_1.after)(HUNGRY, () => this.#collect());
                return;
            }
            const all = [...this.#waiting.values()];
            this.#waiting.clear();
            for (const ended of all)
                ended(undefined, error);
        }
        this.#watch();
    }
}
exports.Replies = Replies;
/** The error of a request that got none. */
function refusal(answer) {
    return (0, errors_1.made)(answer.code ?? 'IpmbError', answer.text ?? 'the request got no reply');
}
