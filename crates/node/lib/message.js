"use strict";
/** A message that came. */
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
exports.Message = exports.Origins = void 0;
const node_util_1 = require("node:util");
const attachments_1 = require("./attachments");
const aborting_1 = require("./aborting");
const arguments_1 = require("./arguments");
const disposing_1 = require("./disposing");
const errors_1 = require("./errors");
const label_op_1 = require("./label_op");
const payload = __importStar(require("./payload"));
const showing_1 = require("./showing");
/** Who sent messages to where: native code tells each of it once, and names it by a number from then on. @internal */
class Origins {
    #known = new Map();
    of({ origin, fresh }) {
        if (fresh) {
            if (origin === 0)
                this.#known.clear();
            const { id, label, pid } = fresh.sender;
            const info = { id, label: Object.freeze(label), pid };
            // JSON has no integers of 64 bits, and would be an error.
            const toJSON = () => ({ ...info, id: String(id) });
            const sender = Object.freeze(Object.defineProperty(info, 'toJSON', { value: toJSON }));
            this.#known.set(origin, new Origin(sender, fresh.selector));
        }
        const found = this.#known.get(origin);
        if (!found)
            throw new Error('a message from nowhere');
        return found;
    }
}
exports.Origins = Origins;
class Origin {
    sender;
    selector;
    constructor(sender, selector) {
        this.sender = sender;
        this.selector = selector;
    }
}
const ATTACHED = ['objects', 'memoryRegions', 'signal'];
const NONE = Object.freeze([]);
class Message {
    /** What was sent, as a plain value. */
    payload;
    /** Who sent it. */
    sender;
    /** The first receiver died before it had read it. */
    redelivered;
    /** Descriptors that came with it. Each is closed when it is collected. */
    objects;
    /** Regions that came with it. */
    memoryRegions;
    #received;
    #selector;
    #back;
    #raw;
    constructor(received, origin, back) {
        if (!(origin instanceof Origin))
            throw (0, arguments_1.notMade)('a Message', 'recv() or request()');
        this.payload = payload.decode(received, origin.sender);
        this.sender = origin.sender;
        this.redelivered = received.redelivered ?? false;
        this.objects = received.objects?.map((descriptor) => attachments_1.Object.of(descriptor)) ?? NONE;
        this.memoryRegions = received.regions?.map((region) => attachments_1.MemoryRegion.of(region)) ?? NONE;
        this.#received = received;
        this.#selector = origin.selector;
        this.#back = back;
    }
    /** The bytes of the payload; those of anything but a `BytesMessage` have the format 0. */
    get bytesMessage() {
        this.#raw ??= payload.raw(this.#received, this.payload);
        return this.#raw;
    }
    get selector() {
        const { op, multicast, ttl } = this.#selector;
        const mode = multicast ? label_op_1.SelectorMode.Multicast : label_op_1.SelectorMode.Unicast;
        return { labelOp: label_op_1.LabelOp.of(op), mode, ttl };
    }
    /** Whether its sender waits for a reply. */
    get isRequest() {
        return this.#received.request !== undefined;
    }
    /**
     * Replies to a request; on any other message it is a plain message back to its sender. Resolves to 1, or 0 where nobody is
     * there any more.
     */
    reply(value, attachments) {
        return new Promise((resolve) => {
            const encoded = payload.encode(value);
            const { signal, ...attached } = (0, arguments_1.options)('attachments', attachments, ATTACHED);
            const ends = (0, aborting_1.signal)(signal);
            const sent = (0, attachments_1.carrying)(undefined, attached, (luggage) => {
                return this.#back.reply(this.sender.id, this.#received.request?.number, encoded, luggage, ends);
            });
            resolve(sent);
        });
    }
    /**
     * Replies to a request that it failed: whoever asked gets a `RemoteError` with the name and the text of this error. Resolves to 1, or
     * 0 where nobody is there any more.
     */
    fail(error) {
        return new Promise((resolve) => {
            if (!this.isRequest)
                throw new TypeError('this message is no request: nobody waits for a reply; see isRequest');
            if (!(error instanceof Error || node_util_1.types.isNativeError(error)))
                throw new TypeError(`error is ${(0, arguments_1.kindOf)(error)}: give an Error`);
            resolve(this.reply(payload.failure(error)));
        });
    }
    /** Closes the objects and regions that came with it. */
    close() {
        for (const object of this.objects)
            object.close();
        for (const region of this.memoryRegions)
            region.close();
    }
    /**
     * What a program gets. Who asked by a message that cannot be decoded is told.
     *
     * @internal
     */
    static of(received, origins, back, sender) {
        const origin = origins.of(received);
        try {
            return new Message(received, origin, back);
        }
        catch (error) {
            if (error instanceof errors_1.DecodeError && sender)
                received.request?.refuse(sender, error.message);
            received.objects?.forEach((descriptor) => descriptor.close());
            received.regions?.forEach((region) => region.close());
            throw error;
        }
    }
}
exports.Message = Message;
(0, disposing_1.disposable)(Message);
/** Bears the name under which it is shown. */
const Shown = class Message {
};
(0, showing_1.shown)('Message', Message, ({ payload, sender, isRequest, redelivered, objects, memoryRegions }) => Object.assign(new Shown(), {
    payload,
    sender,
    ...(isRequest && { isRequest }),
    ...(redelivered && { redelivered }),
    ...(objects.length > 0 && { objects }),
    ...(memoryRegions.length > 0 && { memoryRegions }),
}));
