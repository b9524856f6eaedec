"use strict";
/** What a payload travels as: the UUID of its type, and its bytes. The table is that of `docs/payloads.md`. */
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __setModuleDefault = (this && this.__setModuleDefault) || (Object.create ? (function(o, v) {
    Object.defineProperty(o, "default", { enumerable: true, value: v });
}) : function(o, v) {
    o["default"] = v;
});
var __importStar = (this && this.__importStar) || (function () {
    var ownKeys = function(o) {
        ownKeys = Object.getOwnPropertyNames || function (o) {
            var ar = [];
            for (var k in o) if (Object.prototype.hasOwnProperty.call(o, k)) ar[ar.length] = k;
            return ar;
        };
        return ownKeys(o);
    };
    return function (mod) {
        if (mod && mod.__esModule) return mod;
        var result = {};
        if (mod != null) for (var k = ownKeys(mod), i = 0; i < k.length; i++) if (k[i] !== "default") __createBinding(result, mod, k[i]);
        __setModuleDefault(result, mod);
        return result;
    };
})();
Object.defineProperty(exports, "__esModule", { value: true });
exports.takes = takes;
exports.encode = encode;
exports.failure = failure;
exports.decode = decode;
exports.raw = raw;
const node_util_1 = require("node:util");
const arguments_1 = require("./arguments");
const dates_1 = require("./dates");
const errors_1 = require("./errors");
const packing = __importStar(require("./packing"));
const unpacking = __importStar(require("./unpacking"));
const values_1 = require("./values");
const TABLE = ['None', 'bool', 'int', 'float', 'str', 'bytes', 'list', 'dict', 'datetime', 'UUID', 'BytesMessage',
    'memoryview', 'ndarray', 'Table', 'Tensor', 'generic', 'RecordBatch'];
/** Those that JavaScript has something for come first. */
const TAKEN = TABLE.indexOf('memoryview') + 1;
function builtin(name) {
    return Buffer.from(`69706d6200008000800000000000${(TABLE.indexOf(name) + 1).toString(16).padStart(4, '0')}`, 'hex');
}
const KINDS = Object.fromEntries(TABLE.map((name) => [name, builtin(name)]));
const NOTHING = new Uint8Array(0);
/** The UUIDs that a receiver takes, one after another: those of the table, and these. */
function takes(types) {
    return Buffer.concat([...TABLE.slice(0, TAKEN).map((name) => KINDS[name]), ...types.map((type) => type.bytes)]);
}
/** `{format, data}` and nothing else: how a program in JavaScript writes a `BytesMessage`. */
function asBytesMessage(value) {
    if (value instanceof values_1.BytesMessage)
        return value;
    const keys = Object.keys(value);
    if (keys.length !== 2 || !('format' in value) || !('data' in value))
        return undefined;
    const { format, data } = value;
    return typeof format === 'number' && ArrayBuffer.isView(data)
        ? new values_1.BytesMessage(format, data)
        : undefined;
}
/** Encodes a payload. Bytes are not copied. */
function encode(payload) {
    const plain = (name, data) => ({ kind: KINDS[name], head: NOTHING, data });
    switch (typeof payload) {
        case 'string':
            if (!(0, arguments_1.isUnicode)(payload)) {
                throw new RangeError('payload is a string with half a surrogate pair: give valid Unicode');
            }
            return plain('str', Buffer.from(payload, 'utf8'));
        case 'number':
            return plain(Number.isSafeInteger(payload) && !Object.is(payload, -0) ? 'int' : 'float', packing.encode(payload));
        case 'bigint':
            return plain('int', packing.encode(payload));
        case 'boolean':
            return plain('bool', packing.encode(payload));
        case 'object':
            break;
        default:
            throw new TypeError(`payload is ${(0, arguments_1.kindOf)(payload)}: give null, or a value that can be sent`);
    }
    if (payload === null)
        return plain('None', packing.encode(null));
    if (node_util_1.types.isUint8Array(payload))
        return plain('bytes', payload);
    if (ArrayBuffer.isView(payload)) {
        return plain('bytes', new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength));
    }
    if (node_util_1.types.isAnyArrayBuffer(payload)) {
        return plain('bytes', new Uint8Array(payload));
    }
    if (Array.isArray(payload))
        return plain('list', packing.encode(payload));
    const message = asBytesMessage(payload);
    if (message)
        return { kind: KINDS.BytesMessage, head: packing.formatBytes(message.format), data: message.data };
    if (node_util_1.types.isDate(payload)) {
        try {
            return plain('datetime', Buffer.from((0, dates_1.writeDate)(payload)));
        }
        catch (error) {
            throw (0, arguments_1.refused)(error);
        }
    }
    if (payload instanceof values_1.UUID)
        return plain('UUID', payload.bytes);
    if (payload instanceof values_1.Float)
        return plain('float', packing.encode(payload));
    if (payload instanceof values_1.Typed) {
        return { kind: payload.type.bytes, head: NOTHING, data: packing.encode(payload.value) };
    }
    return plain('dict', packing.encode(payload));
}
const FAILURE = new values_1.UUID('8f1d4f0e-6d0a-4d55-9a3b-5a1c8b7e2d90');
/** What an error travels as, in reply to a request. */
function failure({ name, message, stack }) {
    const text = (given) => Buffer.from(String(given ?? ''), 'utf8').toString('utf8');
    return new values_1.Typed(FAILURE, { type: text(name), text: text(message), traceback: text(stack) });
}
const ELSEWHERE = 0xc1;
/** What stands before the part in shared memory, wherever that is. */
function located(head, bulk) {
    if (head[0] !== ELSEWHERE)
        return head;
    if (head.length !== 17)
        throw new RangeError(`${head.length} bytes do not say where the head is`);
    const [offset, size] = [Number(head.readBigUInt64LE(1)), Number(head.readBigUInt64LE(9))];
    // A copy: the sender could change the memory while it is decoded.
    return Buffer.from(unpacking.range(bulk, offset, size));
}
const MARKERS = {
    None: (marker) => marker === 0xc0,
    bool: (marker) => marker === 0xc2 || marker === 0xc3,
    int: (marker) => marker < 0x80 || marker >= 0xe0 || (marker >= 0xcc && marker <= 0xd3),
    float: (marker) => marker === 0xcb,
    list: (marker) => (marker & 0xf0) === 0x90 || marker === 0xdc || marker === 0xdd,
    dict: (marker) => (marker & 0xf0) === 0x80 || marker === 0xde || marker === 0xdf,
};
function decodeAs(name, uuid, head, bulk) {
    if (name === 'memoryview')
        return bulk ?? head;
    const data = bulk ? located(head, bulk) : head;
    switch (name) {
        case 'str':
            return unpacking.decodeText(data);
        case 'bytes':
            return data;
        case 'datetime':
            return (0, dates_1.readDate)(unpacking.decodeText(data));
        case 'UUID':
            return new values_1.UUID(data);
        case 'BytesMessage':
            return unpacking.readBytesMessage(data);
        case undefined:
            return new values_1.Typed(new values_1.UUID(uuid ?? NOTHING), unpacking.decode(data, bulk));
        default: {
            const first = data[0];
            if (first === undefined || !MARKERS[name]?.(first))
                throw new RangeError('its sender encodes it wrongly');
            return unpacking.decode(data, bulk);
        }
    }
}
/** The payload of a message. */
function decode(received, sender) {
    if (received.text !== undefined)
        return received.text;
    const name = TABLE[received.kind - 1];
    const bulk = received.bulk && Buffer.from(received.bulk);
    const data = received.data ?? Buffer.alloc(0);
    try {
        return decodeAs(name, received.uuid, data, bulk);
    }
    catch (error) {
        // Whatever a peer sends, this is all that comes of it.
        const size = data.length + (bulk?.length ?? 0);
        const why = error instanceof Error ? error.message : String(error);
        const from = `${JSON.stringify(sender.label)}, process ${sender.pid}`;
        const what = name ?? `object of type ${new values_1.UUID(received.uuid ?? new Uint8Array(16)).toString()}`;
        throw new errors_1.DecodeError(`a message of ${size} bytes is no ${what}: ${why}; it came from ${from}`, sender);
    }
}
/** The bytes of a payload, as they travelled; those of a `BytesMessage` with its format. */
function raw(received, payload) {
    if (payload instanceof values_1.BytesMessage)
        return payload;
    const { bulk, text, data = Buffer.from(text ?? '', 'utf8') } = received;
    return new values_1.BytesMessage(0, bulk ? Buffer.from(bulk) : data);
}
