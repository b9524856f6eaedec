"use strict";
/** Who a message is for. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.SelectorMode = exports.LabelOp = void 0;
exports.labels = labels;
exports.target = target;
const arguments_1 = require("./arguments");
const errors_1 = require("./errors");
const native_1 = require("./native");
const showing_1 = require("./showing");
/** A boolean expression over labels. `not`, `and` and `or` change it in place, and return it. */
class LabelOp {
    #op;
    /** Of a string the endpoints whose label holds it, of `true` all endpoints, of `false` none. */
    constructor(value) {
        if (typeof value === 'boolean') {
            this.#op = native_1.native.LabelOp.constant(value);
        }
        else if (typeof value === 'string') {
            this.#op = leaf(value);
        }
        else {
            throw (0, arguments_1.wrongType)('value', value, 'give a string, true or false');
        }
    }
    /** What `toString` gave: `a & (b | !c)`. */
    static parse(expression) {
        const made = new LabelOp(false);
        made.#op = (0, errors_1.call)(() => native_1.native.LabelOp.parse((0, arguments_1.text)('expression', expression)));
        return made;
    }
    not() {
        this.#op = (0, errors_1.call)(() => this.#op.not());
        return this;
    }
    and(other) {
        const op = operand('other', other);
        this.#op = (0, errors_1.call)(() => this.#op.and(op));
        return this;
    }
    or(other) {
        const op = operand('other', other);
        this.#op = (0, errors_1.call)(() => this.#op.or(op));
        return this;
    }
    /** Whether an endpoint with this label is meant. */
    matches(label) {
        const elements = labels('label', label);
        return (0, errors_1.call)(() => this.#op.matches(elements));
    }
    toString() {
        return this.#op.text();
    }
    /** @internal */
    static of(op) {
        const made = new LabelOp(false);
        made.#op = op;
        return made;
    }
    /** @internal */
    static native(value) {
        return typeof value === 'object' && value !== null && #op in value ? value.#op : undefined;
    }
}
exports.LabelOp = LabelOp;
(0, showing_1.shown)('LabelOp', LabelOp, (op) => op.toString());
/** Those of strings that were sent to lately: native ones do not change, and making one costs more than a message. */
const leaves = new Map();
const LEAVES = 256;
function leaf(element) {
    let op = leaves.get(element);
    if (!op) {
        op = (0, errors_1.call)(() => native_1.native.LabelOp.leaf((0, arguments_1.text)('label element', element)));
        if (leaves.size === LEAVES)
            leaves.clear();
        leaves.set(element, op);
    }
    return op;
}
function operand(argument, value) {
    if (typeof value === 'string')
        return leaf(value);
    if (typeof value === 'boolean')
        return native_1.native.LabelOp.constant(value);
    const op = LabelOp.native(value);
    if (!op)
        throw (0, arguments_1.wrongType)(argument, value, 'give a LabelOp, a string, true or false');
    return op;
}
/** The elements of a label. */
function labels(argument, value) {
    const bound = 'give an array of strings';
    return (0, arguments_1.list)(argument, value, bound).map((element, index) => (0, arguments_1.text)(`${argument}[${index}]`, element));
}
/** Who gets a message among those who match. */
var SelectorMode;
(function (SelectorMode) {
    /** Exactly one. */
    SelectorMode[SelectorMode["Unicast"] = 0] = "Unicast";
    /** Every one. */
    SelectorMode[SelectorMode["Multicast"] = 1] = "Multicast";
})(SelectorMode || (exports.SelectorMode = SelectorMode = {}));
const SELECTOR = ['labelOp', 'mode', 'ttl'];
function target(selector) {
    if (typeof selector === 'string' || LabelOp.native(selector))
        return { op: operand('selector', selector), multicast: false, ttl: 0 };
    if (typeof selector !== 'object' || selector === null || Array.isArray(selector)) {
        throw (0, arguments_1.wrongType)('selector', selector, 'give {labelOp, mode, ttl}, a LabelOp or a string');
    }
    const { labelOp, mode, ttl } = (0, arguments_1.options)('selector', selector, SELECTOR);
    if (labelOp === undefined)
        throw new TypeError(`selector is ${(0, arguments_1.kindOf)(selector)} without labelOp: give who is meant`);
    if (mode !== undefined && mode !== SelectorMode.Unicast && mode !== SelectorMode.Multicast) {
        throw (0, arguments_1.wrongValue)('mode', mode, 'give SelectorMode.Unicast or SelectorMode.Multicast');
    }
    return {
        op: operand('labelOp', labelOp),
        multicast: mode === SelectorMode.Multicast,
        ttl: ttl === undefined ? 0 : (0, arguments_1.millis)('ttl', ttl),
    };
}
