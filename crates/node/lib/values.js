"use strict";
/** Small values: who an endpoint is, and payloads for which JavaScript has no type of its own. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Typed = exports.UUID = exports.Float = exports.BytesMessage = void 0;
const arguments_1 = require("./arguments");
const showing_1 = require("./showing");
/** Bytes, and a number that says what they are: what programs in C and C++ exchange. */
class BytesMessage {
    /** 0 to 65535. */
    format;
    data;
    constructor(format, data) {
        this.format = (0, arguments_1.whole)('format', format, 0, 0xffff);
        const given = (0, arguments_1.bytes)('data', data);
        this.data = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
    }
}
exports.BytesMessage = BytesMessage;
/** A number that travels as a float though it is whole: `new Float(1)`. It arrives as a number. */
class Float {
    value;
    constructor(value) {
        if (typeof value !== 'number')
            throw (0, arguments_1.wrongType)('value', value, 'give a number');
        this.value = value;
    }
    valueOf() {
        return this.value;
    }
}
exports.Float = Float;
const UUID_TEXT = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
/** A universally unique identifier. */
class UUID {
    #bytes;
    /** Of its text, or of its 16 bytes. */
    constructor(value) {
        if (typeof value === 'string') {
            if (!UUID_TEXT.test(value))
                throw (0, arguments_1.wrongValue)('uuid', value, 'give 32 hexadecimal digits');
            this.#bytes = Buffer.from(value.replaceAll('-', ''), 'hex');
        }
        else {
            const given = (0, arguments_1.bytes)('uuid', value);
            if (given.length !== 16)
                throw (0, arguments_1.wrongValue)('uuid', `${given.length} bytes`, 'give 16');
            this.#bytes = Uint8Array.from(given);
        }
    }
    /** A copy of its 16 bytes. */
    get bytes() {
        return Buffer.from(this.#bytes);
    }
    equals(other) {
        return other instanceof UUID && other.toString() === this.toString();
    }
    toString() {
        return Buffer.from(this.#bytes).toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    }
    toJSON() {
        return this.toString();
    }
}
exports.UUID = UUID;
(0, showing_1.shown)('UUID', UUID, (uuid) => uuid.toString());
/** An object of a type that has a UUID of its own: what Python's `message_type` declares. Its value is a plain one. */
class Typed {
    type;
    value;
    constructor(type, value) {
        this.type = type instanceof UUID ? type : new UUID((0, arguments_1.text)('type', type));
        this.value = value;
    }
}
exports.Typed = Typed;
