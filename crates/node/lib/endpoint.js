"use strict";
/** Endpoints, and joining a bus. */
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
exports.JoiningEndpoint = exports.Endpoint = void 0;
exports.join = join;
const aborting_1 = require("./aborting");
const arguments_1 = require("./arguments");
const disposing_1 = require("./disposing");
const errors_1 = require("./errors");
const label_op_1 = require("./label_op");
const membership_1 = require("./membership");
const native_1 = require("./native");
const payload = __importStar(require("./payload"));
const receiver_1 = require("./receiver");
const sender_1 = require("./sender");
const showing_1 = require("./showing");
const values_1 = require("./values");
const waiting_1 = require("./waiting");
const OPTIONS = ['identifier', 'label', 'token', 'controllerAffinity', 'users', 'types'];
/** Counters come in another order in each process. */
function sorted(counters) {
    return Object.fromEntries(Object.entries(counters).sort(([one], [other]) => (one < other ? -1 : 1)));
}
/** One who is on a bus. */
class Endpoint {
    identifier;
    label;
    sender;
    receiver;
    #membership;
    constructor(...made) {
        const [membership, identifier, label, sender, receiver] = made;
        if (!(membership instanceof membership_1.Membership))
            throw (0, arguments_1.notMade)('an Endpoint', 'join()');
        this.#membership = membership;
        this.identifier = identifier;
        this.label = label;
        this.sender = sender;
        this.receiver = receiver;
    }
    /** Number that no other endpoint of the bus has. */
    get id() {
        return this.#membership.joined().id;
    }
    /** Whether it plays controller now. */
    get isController() {
        return this.#membership.joined().isController;
    }
    /** Everybody on the bus but this one. */
    peers() {
        return (0, errors_1.call)(() => this.#membership.joined().peers());
    }
    /** What it has counted so far. */
    stats() {
        const counters = (0, errors_1.call)(() => this.#membership.joined().stats());
        return {
            ...sorted(counters.all),
            droppedByReason: sorted(counters.dropped),
            refusedByReason: sorted(counters.refused),
            shortagesByKind: sorted(counters.shortages),
        };
    }
    /** Tells who joins and leaves from now on, until the loop is left or the endpoint closed. */
    watch() {
        return new Watching((0, errors_1.call)(() => this.#membership.joined().watch()));
    }
    /** Closes both halves and leaves the bus. Closing twice is fine. */
    close() {
        this.sender.close();
        this.receiver.close();
        this.#membership.close();
    }
    /** @internal */
    static of(...made) {
        return new Endpoint(...made);
    }
    static {
        (0, showing_1.shown)('Endpoint', this, (self) => self.#membership.shown(false));
    }
}
exports.Endpoint = Endpoint;
(0, disposing_1.disposable)(Endpoint);
(0, disposing_1.asyncDisposable)(Endpoint, (endpoint) => endpoint.close());
/** An endpoint that joins. Its halves can be used at once; awaited, it is the endpoint that has joined. */
class JoiningEndpoint extends Endpoint {
    #joined;
    constructor(...made) {
        super(...made);
        const [membership] = made;
        this.#joined = async () => {
            await membership.settled;
            return Endpoint.of(...made);
        };
    }
    then(joined, failed) {
        return this.#joined().then(joined, failed);
    }
    catch(failed) {
        return this.#joined().catch(failed);
    }
    finally(over) {
        return this.#joined().finally(over);
    }
    /** @internal */
    static of(...made) {
        return new JoiningEndpoint(...made);
    }
}
exports.JoiningEndpoint = JoiningEndpoint;
/** Events as they come. Not a generator: of that `return` would wait for the event that `next` waits for. */
class Watching {
    #from;
    #turn = Promise.resolve();
    #ended = false;
    #wake = () => { };
    constructor(from) {
        this.#from = from;
    }
    next() {
        const next = this.#turn.then(() => this.#next());
        this.#turn = next.catch(() => { });
        return next;
    }
    return() {
        this.#ended = true;
        this.#from.close();
        this.#wake();
        return Promise.resolve({ value: undefined, done: true });
    }
    [Symbol.asyncIterator]() {
        return this;
    }
    async #next() {
        while (!this.#ended) {
            const event = this.#from.poll();
            if (event) {
                const { joined, peer, reason } = event;
                const kind = joined ? 'joined' : 'left';
                return { value: { kind, peer, ...(reason === undefined ? {} : { reason }) }, done: false };
            }
            if (this.#from.ended)
                return this.return();
            await new Promise((resolve) => {
                const endWait = (0, waiting_1.wait)((hub, number) => hub.awaitEvent(number, this.#from), resolve);
                this.#wake = () => {
                    endWait();
                    resolve();
                };
            });
        }
        return { value: undefined, done: true };
    }
}
(0, disposing_1.asyncDisposable)(Watching, (events) => events.return());
/**
 * Joins a bus.
 *
 * What is returned can be used at once: what is sent is sent when the endpoint has joined, and `recv` waits. Await it to know
 * when that is, and what was in the way: `VersionMismatch`, `TokenMismatch`, `PermissionDenied`, `JoinTimeout`. Whoever does
 * not is told by `send` and `recv`.
 *
 * @param timeout Milliseconds; null, `Infinity` and nothing are for ever. A join takes a few round trips: with 0 it rarely succeeds.
 * @param waiting Its signal gives up joining when it is aborted.
 */
function join(options, timeout, waiting) {
    if (options === undefined || options === null) {
        throw (0, arguments_1.wrongType)('options', options, 'give {identifier, label, token, controllerAffinity}');
    }
    (0, arguments_1.options)('options', options, OPTIONS);
    const identifier = (0, arguments_1.text)('identifier', options.identifier);
    const label = (0, label_op_1.labels)('label', options.label);
    const { token = '' } = options;
    const secret = typeof token === 'string' ? Buffer.from((0, arguments_1.text)('token', token)) : (0, arguments_1.bytes)('token', token, 'give a string, or a Buffer');
    const affinity = (0, arguments_1.flag)('controllerAffinity', options.controllerAffinity, true);
    const users = (0, arguments_1.list)('users', options.users, 'give an array of user ids').map((user, index) => (0, arguments_1.whole)(`users[${index}]`, user, 0, 0xffffffff));
    const types = (0, arguments_1.list)('types', options.types, 'give an array of UUIDs').map((type, index) => type instanceof values_1.UUID ? type : new values_1.UUID((0, arguments_1.text)(`types[${index}]`, type)));
    const limit = (0, arguments_1.millis)('timeout', timeout);
    const signal = (0, aborting_1.signalOf)(waiting);
    const begin = () => (0, errors_1.call)(() => native_1.native.Joining.begin(identifier, label, secret, affinity, users, true));
    const name = `${identifier}, [${label.join(', ')}]`;
    const membership = new membership_1.Membership(begin, limit, signal, name);
    const sender = sender_1.Sender.of(membership);
    const receiver = receiver_1.Receiver.of(membership, payload.takes(types), sender_1.Sender.back(sender));
    return JoiningEndpoint.of(membership, identifier, Object.freeze([...label]), sender, receiver);
}
