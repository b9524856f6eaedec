"use strict";
/** Checks of arguments: what is wrong is said by name, with what was given and what would do. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Refusal = exports.isUnicode = void 0;
exports.kindOf = kindOf;
exports.wrongType = wrongType;
exports.wrongValue = wrongValue;
exports.notMade = notMade;
exports.text = text;
exports.options = options;
exports.list = list;
exports.flag = flag;
exports.whole = whole;
exports.millis = millis;
exports.bytes = bytes;
exports.refused = refused;
const node_util_1 = require("node:util");
const SHOWN = 40;
/** A value in a few words: "a number", "a Map", "null". */
function kindOf(value) {
    if (value === null || value === undefined)
        return String(value);
    if (typeof value !== 'object')
        return typeof value === 'function' ? 'a function' : `a ${typeof value}`;
    if (Array.isArray(value))
        return 'an array';
    let name;
    try {
        name = Object.getPrototypeOf(value)?.constructor?.name;
    }
    catch {
        // A proxy that does not want to be looked at.
    }
    if (typeof name !== 'string' || name === '' || name === 'Object')
        return 'an object';
    return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name.slice(0, SHOWN)}`;
}
function wrongType(argument, value, bound) {
    return new TypeError(`${argument} is ${kindOf(value)}: ${bound}`);
}
function wrongValue(argument, value, bound) {
    return new RangeError(`${argument} is ${String(value).slice(0, SHOWN)}: ${bound}`);
}
/** The error of a constructor that is not for programs to call. */
function notMade(name, origin) {
    return new TypeError(`${name} comes from ${origin}: it is not constructed`);
}
/** Whether a string is Unicode: it has no half of a surrogate pair. */
exports.isUnicode = 'isWellFormed' in String.prototype
    ? (value) => value.isWellFormed()
    : (value) => !/\p{Surrogate}/u.test(value);
function text(argument, value) {
    if (typeof value !== 'string')
        throw wrongType(argument, value, 'give a string');
    if (!(0, exports.isUnicode)(value))
        throw new RangeError(`${argument} has half a surrogate pair: give valid Unicode`);
    return value;
}
/** Options, or none. One that nobody knows is an error: it is another one, mistyped. */
function options(argument, value, known, hint = '') {
    if (value === undefined || value === null)
        return {};
    if (typeof value !== 'object' || Array.isArray(value))
        throw wrongType(argument, value, 'give an object');
    for (const name of Object.keys(value)) {
        if (!known.includes(name)) {
            throw new TypeError(`${argument} has ${JSON.stringify(name.slice(0, SHOWN))}: give only ${known.join(', ')}${hint}`);
        }
    }
    return value;
}
/** The items of a list. */
function list(argument, value, bound) {
    if (value === undefined || value === null)
        return [];
    if (!Array.isArray(value))
        throw wrongType(argument, value, bound);
    return value;
}
function flag(argument, value, otherwise) {
    if (value === undefined)
        return otherwise;
    if (typeof value !== 'boolean')
        throw wrongType(argument, value, 'give true or false');
    return value;
}
/** A whole number from `least` to `most`; `or` says what else would have done. */
function whole(argument, value, least, most, or = '') {
    if (typeof value !== 'number')
        throw wrongType(argument, value, 'give a number');
    if (!Number.isInteger(value) || value < least || value > most) {
        throw wrongValue(argument, value, `give a whole number, ${least} to ${most}${or}`);
    }
    return value;
}
/** Milliseconds; `Infinity` for null and nothing. */
function millis(argument, value) {
    if (value === undefined || value === null)
        return Infinity;
    const bound = 'give 0 or more milliseconds, or null for ever';
    if (typeof value !== 'number')
        throw wrongType(argument, value, bound);
    if (!(value >= 0))
        throw wrongValue(argument, value, bound);
    return value;
}
/** Any view of bytes as a `Uint8Array` of the same memory. */
function bytes(argument, value, bound = 'give a Buffer, or another view of bytes') {
    if (node_util_1.types.isUint8Array(value))
        return value;
    if (ArrayBuffer.isView(value))
        return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (node_util_1.types.isAnyArrayBuffer(value))
        return new Uint8Array(value);
    throw wrongType(argument, value, bound);
}
/** Why something cannot be sent, while the place of it is still being found. */
class Refusal extends Error {
    what;
    Class;
    place = '';
    constructor(what, Class = TypeError) {
        super(what);
        this.what = what;
        this.Class = Class;
    }
}
exports.Refusal = Refusal;
/** The error to throw of one that was caught. */
function refused(error) {
    return error instanceof Refusal ? new error.Class(`payload${error.place} is ${error.what}`) : error;
}
