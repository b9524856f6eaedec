/** `using` and `await using`, where the runtime has the symbols for them: not every Node 18 does. */
/** Has `using` close what is of this class. */
export declare function disposable(Class: {
    readonly prototype: {
        close(): void;
    };
}): void;
/** Has `await using` end what is of this class, as `end` does. */
export declare function asyncDisposable<T extends object>(Class: {
    readonly prototype: T;
}, end: (self: T) => unknown): void;
