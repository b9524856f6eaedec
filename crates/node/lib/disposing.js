"use strict";
/** `using` and `await using`, where the runtime has the symbols for them: not every Node 18 does. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.disposable = disposable;
exports.asyncDisposable = asyncDisposable;
function define(prototype, symbol, value) {
    if (symbol)
        Object.defineProperty(prototype, symbol, { value, writable: true, configurable: true });
}
/** Has `using` close what is of this class. */
function disposable(Class) {
    define(Class.prototype, Symbol.dispose, function () {
        this.close();
    });
}
/** Has `await using` end what is of this class, as `end` does. */
function asyncDisposable(Class, end) {
    define(Class.prototype, Symbol.asyncDispose, async function () {
        await end(this);
    });
}
