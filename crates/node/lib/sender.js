"use strict";
/** The sending half of an endpoint. */
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
exports.Sender = void 0;
const aborting_1 = require("./aborting");
const attachments_1 = require("./attachments");
const arguments_1 = require("./arguments");
const disposing_1 = require("./disposing");
const errors_1 = require("./errors");
const label_op_1 = require("./label_op");
const membership_1 = require("./membership");
const message_1 = require("./message");
const native_1 = require("./native");
const payload = __importStar(require("./payload"));
const sending_1 = require("./sending");
const showing_1 = require("./showing");
const waiting_1 = require("./waiting");
const ASKING = ['timeout', 'objects', 'memoryRegions', 'signal'];
/** Where what is missed among the options stands. */
const TARGETED = '; ttl and mode belong to the selector: { labelOp, mode, ttl }';
const SENDING = [...ASKING, 'overflow'];
const OVERFLOW = ['block', 'error', 'drop'];
class Sender {
    #membership;
    #lanes = new sending_1.Lanes();
    #burst = new waiting_1.Burst();
    #origins = new message_1.Origins();
    /** What ends requests that wait for the joining. */
    #unasked = new Set();
    #core;
    #replies;
    #closed = false;
    #waits = false;
    #back = {
        reply: (id, request, { kind, head, data }, attached, signal) => {
            const start = (bytes) => {
                return this.#native().reply(id, request, kind, head, bytes, attached);
            };
            return this.#push(`@${id}`, false, Infinity, signal, data, start);
        },
    };
    constructor(membership) {
        if (!(membership instanceof membership_1.Membership))
            throw (0, arguments_1.notMade)('a Sender', 'join()');
        this.#membership = membership;
    }
    /**
     * Sends a message. Resolves to how many endpoints have it: 0 when nobody matched (with a ttl it waits then), or when it was
     * dropped. It is sent before this returns, if there is room; messages to the same selector keep their order, awaited or not.
     *
     * A signal that is aborted while it waits for room takes it back; who of many has it already keeps it.
     *
     * `buffers` travel as memory regions: of a Buffer a copy, a `MemoryRegion` as it is.
     */
    send(selector, message, buffers, given) {
        return new Promise((resolve) => {
            const { op, multicast, ttl } = (0, label_op_1.target)(selector);
            const { timeout, overflow = 'block', signal, ...attachments } = (0, arguments_1.options)('options', given, SENDING, TARGETED);
            const limit = (0, arguments_1.millis)('timeout', timeout);
            const ends = (0, aborting_1.signal)(signal);
            const full = OVERFLOW.indexOf(overflow);
            if (full < 0)
                throw (0, arguments_1.wrongValue)('overflow', overflow, 'give "block", "error" or "drop"');
            const { kind, head, data } = payload.encode(message);
            const key = () => `${multicast ? '*' : '1'}${op.text()}`;
            const sent = (0, attachments_1.carrying)(buffers, attachments, (attached) => {
                return this.#push(key, full > 0, limit, ends, data, (bytes) => {
                    return this.#native().send(op, multicast, ttl, kind, head, bytes, attached, full);
                });
            });
            resolve(sent);
        });
    }
    /**
     * Asks one of those who match, and resolves to the reply. `NoRoute` if nobody matches until the ttl is over, `PeerLost` if the
     * one asked dies before it has replied, `RecvTimeout` when the time is over.
     */
    request(selector, message, given) {
        return new Promise((resolve) => {
            const { op, multicast, ttl } = (0, label_op_1.target)(selector);
            if (multicast)
                throw (0, arguments_1.wrongValue)('mode', 'SelectorMode.Multicast', 'give Unicast: one endpoint replies to a request');
            const { timeout, signal, ...attachments } = (0, arguments_1.options)('options', given, ASKING, TARGETED);
            const limit = (0, arguments_1.millis)('timeout', timeout);
            const ends = (0, aborting_1.signal)(signal);
            const { kind, head, data } = payload.encode(message);
            const reply = (0, attachments_1.carrying)(undefined, attachments, (attached) => {
                return this.#ask(limit, ends, data, (replies, number, bytes) => {
                    return replies.requests.ask(this.#native(), number, op, ttl, kind, head, bytes, attached);
                });
            });
            resolve(reply);
        });
    }
    /** Closes this half. What was sent stays sent. */
    close() {
        if (this.#closed)
            return;
        this.#closed = true;
        this.#membership.closeHalf((endpoint) => endpoint.sender().close());
        this.#lanes.fail(closed());
        for (const end of [...this.#unasked])
            end(closed());
    }
    get closed() {
        return this.#closed || (this.#core?.closed ?? false);
    }
    /** The native half; an error where there is none (any more). */
    #native() {
        if (this.#closed)
            throw closed();
        this.#core ??= this.#membership.joined().sender();
        return this.#core;
    }
    /** Whether joining is still under way, and this half not closed. */
    get #early() {
        return !this.#closed && !this.#membership.endpoint && this.#membership.failure === undefined;
    }
    /** Sends at once, or puts a copy behind those that wait. */
    #push(key, unordered, limit, signal, data, start) {
        (0, aborting_1.throwIfAborted)(signal);
        const name = typeof key === 'string' ? () => key : key;
        const later = () => {
            const kept = Uint8Array.from(data);
            return this.#lanes.push(name(), limit, () => start(kept), undefined, signal);
        };
        if (this.#early) {
            this.#startWhenJoined();
            return later();
        }
        if (!unordered && !this.#lanes.empty && this.#lanes.has(name()))
            return later();
        const result = (0, errors_1.call)(() => start(data));
        if (typeof result === 'number')
            return this.#sent(result);
        return this.#lanes.push(name(), limit, () => result, result, signal);
    }
    /** Tells at once, and now and then after others have had their turn. */
    #sent(reached) {
        if (!this.#burst.isOver())
            return Promise.resolve(reached);
        return new Promise((resolve) => {
            setImmediate(resolve, reached);
        });
    }
    #startWhenJoined() {
        if (this.#waits)
            return;
        this.#waits = true;
        this.#lanes.hold();
        this.#membership.settled.then(() => this.#lanes.run(), (failure) => this.#lanes.fail(failure));
    }
    async #ask(limit, signal, data, ask) {
        (0, aborting_1.throwIfAborted)(signal);
        const started = performance.now();
        let bytes = data;
        if (this.#early) {
            bytes = Uint8Array.from(data);
            await this.#joinedWithin(limit, signal);
            (0, aborting_1.throwIfAborted)(signal);
        }
        const left = limit === Infinity ? Infinity : Math.max(0, limit - (performance.now() - started));
        this.#replies ??= new sending_1.Replies((0, errors_1.call)(() => native_1.native.Requests.of(this.#native())));
        const replies = this.#replies;
        const number = (0, errors_1.call)(() => replies.requests.begin());
        return new Promise((resolve, reject) => {
            let pending;
            let stop = () => { };
            const end = (settle) => {
                stop();
                endTimer();
                endSignal();
                pending?.giveUp();
                replies.forget(number);
                settle();
            };
            const late = () => end(() => reject(new errors_1.RecvTimeout(pending ? UNSENT : UNANSWERED)));
            const endTimer = (0, waiting_1.after)(left, late);
            const endSignal = (0, aborting_1.onAbort)(signal, (reason) => end(() => reject(reason)));
            const ended = (answer, error) => {
                end(() => {
                    try {
                        if (!answer)
                            throw error;
                        if (!answer.reply)
                            throw (0, sending_1.refusal)(answer);
                        resolve(message_1.Message.of(answer.reply, this.#origins, this.#back, undefined));
                    }
                    catch (wrong) {
                        reject(wrong);
                    }
                });
            };
            try {
                replies.expect(number, ended);
                const result = ask(replies, number, bytes);
                if (typeof result === 'number')
                    return;
                pending = result;
                stop = (0, sending_1.drive)(result, () => {
                    pending = undefined;
                }, (error) => end(() => reject(error)));
            }
            catch (thrown) {
                end(() => reject((0, errors_1.told)(thrown)));
            }
        });
    }
    /** Waits for the joining, no longer than for a reply or until this half is closed. */
    #joinedWithin(limit, signal) {
        return new Promise((resolve, reject) => {
            const end = (settle) => {
                this.#unasked.delete(fail);
                endTimer();
                endSignal();
                settle();
            };
            const fail = (error) => end(() => reject(error));
            const endTimer = (0, waiting_1.after)(limit, () => fail(new errors_1.RecvTimeout(UNSENT)));
            const endSignal = (0, aborting_1.onAbort)(signal, fail);
            this.#unasked.add(fail);
            this.#membership.settled.then(() => end(resolve), fail);
        });
    }
    /** @internal */
    static of(membership) {
        return new Sender(membership);
    }
    /** @internal */
    static back(sender) {
        return sender.#back;
    }
    static {
        (0, showing_1.shown)('Sender', this, (self) => self.#membership.shown(self.closed));
    }
}
exports.Sender = Sender;
(0, disposing_1.disposable)(Sender);
const UNSENT = 'the request was not sent in time: nobody matches, or whoever does reads too slowly; give a longer timeout';
const UNANSWERED = 'no reply in time: whoever was asked is slow, stopped, or does not reply; give a longer timeout, or ask again if doing it ' +
    'twice does no harm';
function closed() {
    return new errors_1.Closed('the sender is closed: join again to send');
}
