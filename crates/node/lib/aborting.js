"use strict";
/** Ending a wait from outside, by an `AbortSignal`. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.signal = signal;
exports.signalOf = signalOf;
exports.throwIfAborted = throwIfAborted;
exports.onAbort = onAbort;
const arguments_1 = require("./arguments");
const waiting_1 = require("./waiting");
/** Whether something behaves like a signal: polyfills, and other contexts, have classes of their own. */
function isSignal(value) {
    try {
        const { aborted, addEventListener, removeEventListener } = value;
        return typeof aborted === 'boolean' && [addEventListener, removeEventListener].every((one) => typeof one === 'function');
    }
    catch {
        return false;
    }
}
function signal(value) {
    if (value === undefined || value === null)
        return undefined;
    if (typeof value !== 'object' || !isSignal(value))
        throw (0, arguments_1.wrongType)('signal', value, 'give an AbortSignal');
    return value;
}
/** The signal of options that hold nothing else. */
function signalOf(given) {
    // It has no names of its own that would tell.
    if (typeof given === 'object' && given !== null && isSignal(given))
        throw (0, arguments_1.wrongType)('options', given, 'give {signal}');
    return signal((0, arguments_1.options)('options', given, ['signal']).signal);
}
function throwIfAborted(signal) {
    if (signal?.aborted)
        throw signal.reason;
}
/**
 * What each signal ends. It has one listener for all of them: taking off one of many takes the longer the more there are, and
 * Node 18 warns of the eleventh.
 */
const signals = new WeakMap();
function listen(signal) {
    const ends = new Set();
    const listener = () => {
        signals.delete(signal);
        for (const end of ends)
            (0, waiting_1.guarded)(() => end(signal.reason));
    };
    signals.set(signal, { ends, listener });
    signal.addEventListener('abort', listener, { once: true });
    return ends;
}
/**
 * Has `end` called once when a signal that is not aborted yet is. The function that comes back ends that; calling it late, or
 * twice, is fine.
 */
function onAbort(signal, end) {
    if (!signal)
        return () => { };
    const ends = signals.get(signal)?.ends ?? listen(signal);
    ends.add(end);
    return () => {
        ends.delete(end);
        const known = signals.get(signal);
        if (known?.ends !== ends || ends.size > 0)
            return;
        signals.delete(signal);
        signal.removeEventListener('abort', known.listener);
    };
}
