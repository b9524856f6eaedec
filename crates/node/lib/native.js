"use strict";
/** The native half. Its types, in `core.d.ts`, are made from the signatures of the Rust sources. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.native = void 0;
function load() {
    try {
        return require('../ipmb-js.node');
    }
    catch (error) {
        const text = 'the native half of ipmb-js cannot be loaded: build it with `make node`, on Linux, for Node 18 or later';
        throw new Error(text, { cause: error });
    }
}
exports.native = load();
