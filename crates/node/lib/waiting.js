"use strict";
/**
 * Waiting in the event loop: a callback when something may be tried again, and when a time is over.
 *
 * While anything waits the process stays alive; when nothing does, whatever is open, it may end.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Burst = void 0;
exports.guarded = guarded;
exports.wait = wait;
exports.after = after;
const native_1 = require("./native");
const waits = new Map();
let last = 0;
let held = 0;
const hub = new native_1.native.Hub(() => {
    for (const number of hub.ready()) {
        // One before it may just have ended this one.
        const ready = waits.get(number);
        if (!ready)
            continue;
        waits.delete(number);
        release();
        guarded(ready);
    }
});
/** One that fails must not keep the others from being told. */
function guarded(act) {
    try {
        act();
    }
    catch (error) {
        queueMicrotask(() => {
            throw error;
        });
    }
}
function hold() {
    if (held === 0)
        hub.hold(true);
    held += 1;
}
function release() {
    held -= 1;
    if (held === 0)
        hub.hold(false);
}
/**
 * Has `ready` called once when what `begin` waits for may be there; soon, when that says `false`: there is nothing to wait
 * for. The function that comes back ends the wait; calling it late, or twice, is fine.
 */
function wait(begin, ready) {
    do
        last = (last + 1) >>> 0;
    while (waits.has(last));
    const number = last;
    if (begin(hub, number) === false) {
        const soon = setImmediate(ready);
        return () => clearImmediate(soon);
    }
    waits.set(number, ready);
    hold();
    return () => {
        if (waits.get(number) !== ready)
            return;
        waits.delete(number);
        hub.forget(number);
        release();
    };
}
/** The longest time that a timer takes. */
const LONGEST = 2 ** 31 - 1;
/** Has `over` called after so many milliseconds; never after `Infinity`. The function that comes back cancels it. */
function after(millis, over) {
    if (millis === Infinity)
        return () => { };
    let timer;
    const start = (left) => {
        timer = setTimeout(() => (left > LONGEST ? start(left - LONGEST) : over()), Math.min(left, LONGEST));
    };
    start(millis);
    return () => clearTimeout(timer);
}
/** Milliseconds, and steps in a row, that go on without a turn of the event loop: others have their turn then. */
const BURST_MILLIS = 1;
const BURST = 256;
/** How long one has gone on without a turn of the event loop. */
class Burst {
    #steps = 0;
    #since = 0;
    /** Counts a step. Whether others should have their turn before the next. */
    isOver() {
        if (this.#steps === 0) {
            this.#since = performance.now();
            // What comes after that is in another turn.
            setImmediate(() => this.end()).unref();
        }
        this.#steps += 1;
        return this.#steps > BURST || performance.now() - this.#since > BURST_MILLIS;
    }
    /** Others had their turn. */
    end() {
        this.#steps = 0;
    }
}
exports.Burst = Burst;
