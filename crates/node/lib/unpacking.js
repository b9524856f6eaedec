"use strict";
/**
 * From MessagePack to values. The bytes are a peer's, and nothing in them is believed: lengths are held to what is there,
 * nesting to a bound, and whatever is wrong is an error that says what.
 *
 * Beside what is sent from here there is extension 10: a buffer that lies beside the message, in shared memory.
 */
var _a;
Object.defineProperty(exports, "__esModule", { value: true });
exports.decodeText = decodeText;
exports.readBytesMessage = readBytesMessage;
exports.decode = decode;
exports.range = range;
const node_util_1 = require("node:util");
const arguments_1 = require("./arguments");
const dates_1 = require("./dates");
const packing_1 = require("./packing");
const values_1 = require("./values");
/** Text that is exact: invalid bytes are an error, and nothing is left out. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function decodeText(data) {
    return utf8.decode(data);
}
/** The `BytesMessage` of these bytes. */
function readBytesMessage(data) {
    if (data.length < 2)
        throw new RangeError(`${data.length} bytes hold no format`);
    return new values_1.BytesMessage(data.readUInt16LE(0), data.subarray(2));
}
/** Decodes one value, and nothing may follow it. `bulk` is what lies beside it in shared memory. */
function decode(data, bulk) {
    const reader = new Reader(data, bulk);
    const value = reader.value(packing_1.DEPTH);
    reader.end();
    return value;
}
class Reader {
    data;
    bulk;
    #at = 0;
    constructor(data, bulk) {
        this.data = data;
        this.bulk = bulk;
    }
    end() {
        if (this.#at !== this.data.length)
            throw new RangeError(`${this.data.length - this.#at} bytes follow it`);
    }
    /** Where so many bytes begin. */
    #take(size) {
        if (size > this.data.length - this.#at)
            throw new RangeError('it is cut short');
        const at = this.#at;
        this.#at += size;
        return at;
    }
    #raw(size) {
        const at = this.#take(size);
        return this.data.subarray(at, at + size);
    }
    #unsigned(width) {
        return this.data.readUIntBE(this.#take(width), width);
    }
    value(depth) {
        const marker = this.#unsigned(1);
        if (marker < 0x80)
            return marker;
        if (marker < 0x90)
            return this.#map(marker & 0xf, depth);
        if (marker < 0xa0)
            return this.#list(marker & 0xf, depth);
        if (marker < 0xc0)
            return decodeText(this.#raw(marker & 0x1f));
        if (marker >= 0xe0)
            return marker - 0x100;
        switch (marker) {
            case 0xc0:
                return null;
            case 0xc2:
                return false;
            case 0xc3:
                return true;
            case 0xc4:
                return this.#raw(this.#unsigned(1));
            case 0xc5:
                return this.#raw(this.#unsigned(2));
            case 0xc6:
                return this.#raw(this.#unsigned(4));
            case 0xc7:
                return this.#extension(this.#unsigned(1), depth);
            case 0xc8:
                return this.#extension(this.#unsigned(2), depth);
            case 0xc9:
                return this.#extension(this.#unsigned(4), depth);
            case 0xca:
                return this.data.readFloatBE(this.#take(4));
            case 0xcb:
                return this.data.readDoubleBE(this.#take(8));
            case 0xcc:
                return this.#unsigned(1);
            case 0xcd:
                return this.#unsigned(2);
            case 0xce:
                return this.#unsigned(4);
            case 0xcf:
                return exact(this.data.readBigUInt64BE(this.#take(8)));
            case 0xd0:
                return this.data.readInt8(this.#take(1));
            case 0xd1:
                return this.data.readInt16BE(this.#take(2));
            case 0xd2:
                return this.data.readInt32BE(this.#take(4));
            case 0xd3:
                return exact(this.data.readBigInt64BE(this.#take(8)));
            case 0xd4:
            case 0xd5:
            case 0xd6:
            case 0xd7:
            case 0xd8:
                return this.#extension(1 << (marker - 0xd4), depth);
            case 0xd9:
                return decodeText(this.#raw(this.#unsigned(1)));
            case 0xda:
                return decodeText(this.#raw(this.#unsigned(2)));
            case 0xdb:
                return decodeText(this.#raw(this.#unsigned(4)));
            case 0xdc:
                return this.#list(this.#unsigned(2), depth);
            case 0xdd:
                return this.#list(this.#unsigned(4), depth);
            case 0xde:
                return this.#map(this.#unsigned(2), depth);
            case 0xdf:
                return this.#map(this.#unsigned(4), depth);
            default:
                throw new RangeError('it holds a byte that means nothing');
        }
    }
    #list(count, depth) {
        const inner = this.#deeper(depth);
        const items = [];
        // No room is made for what is only said to be there.
        for (let index = 0; index < count; index += 1)
            items.push(this.value(inner));
        return items;
    }
    /** An object, or a `Map` where not all keys are strings. */
    #map(count, depth) {
        const inner = this.#deeper(depth);
        const entries = [];
        let plain = true;
        for (let index = 0; index < count; index += 1) {
            const key = this.value(inner);
            if (typeof key === 'object' && key !== null && !node_util_1.types.isUint8Array(key)) {
                throw new RangeError(`it has a map with ${(0, arguments_1.kindOf)(key)} as a key`);
            }
            plain &&= typeof key === 'string';
            entries.push([key, this.value(inner)]);
        }
        // Not by assignment: a key may be `__proto__`.
        return plain ? Object.fromEntries(entries) : new Map(entries);
    }
    #deeper(depth) {
        if (depth === 0)
            throw new RangeError(`it is nested more than ${packing_1.DEPTH} deep`);
        return depth - 1;
    }
    #extension(size, depth) {
        const code = this.data.readInt8(this.#take(1));
        const data = this.#raw(size);
        switch (code) {
            case 1:
                return new values_1.UUID(data);
            case 2:
                return (0, dates_1.readDate)(decodeText(data));
            case 3:
                return readBytesMessage(data);
            case 10:
                return this.#beside(data, depth);
            case 11: {
                if (data.length < 16)
                    throw new RangeError('it holds an object without its type');
                const inner = new _a(data.subarray(16), this.bulk);
                const value = inner.value(this.#deeper(depth));
                inner.end();
                return new values_1.Typed(new values_1.UUID(data.subarray(0, 16)), value);
            }
            default:
                throw new RangeError(`it holds extension ${code} of ${size} bytes, which JavaScript has nothing for`);
        }
    }
    /** A buffer that lies beside the message. */
    #beside(data, depth) {
        const inner = new _a(data, undefined);
        const extent = inner.value(this.#deeper(depth));
        inner.end();
        const [offset, size] = Array.isArray(extent) ? extent : [];
        if (typeof offset !== 'number' || typeof size !== 'number')
            throw new RangeError('it holds a buffer that is nowhere');
        return range(this.bulk, offset, size);
    }
}
_a = Reader;
/** Some bytes of what lies beside a message. */
function range(bulk, offset, size) {
    if (!bulk)
        throw new RangeError('it says that its bytes are beside the message, and there are none');
    if (!(offset >= 0 && size >= 0 && offset + size <= bulk.length)) {
        throw new RangeError(`it says that its bytes are ${offset} to ${offset + size} of ${bulk.length}`);
    }
    return bulk.subarray(offset, offset + size);
}
/** A number where that is exact. */
function exact(value) {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
}
