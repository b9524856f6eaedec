/** `using` and `await using`, where the runtime has the symbols for them: not every Node 18 does. */

function define(prototype: object, symbol: symbol | undefined, value: (this: never) => unknown): void {
  if (symbol) Object.defineProperty(prototype, symbol, { value, writable: true, configurable: true });
}

/** Has `using` close what is of this class. */
export function disposable(Class: { readonly prototype: { close(): void } }): void {
  define(Class.prototype, Symbol.dispose, function (this: { close(): void }) {
    this.close();
  });
}

/** Has `await using` end what is of this class, as `end` does. */
export function asyncDisposable<T extends object>(Class: { readonly prototype: T }, end: (self: T) => unknown): void {
  define(Class.prototype, Symbol.asyncDispose, async function (this: T) {
    await end(this);
  });
}
