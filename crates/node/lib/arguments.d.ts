/** Checks of arguments: what is wrong is said by name, with what was given and what would do. */
/** A value in a few words: "a number", "a Map", "null". */
export declare function kindOf(value: unknown): string;
export declare function wrongType(argument: string, value: unknown, bound: string): TypeError;
export declare function wrongValue(argument: string, value: unknown, bound: string): RangeError;
/** The error of a constructor that is not for programs to call. */
export declare function notMade(name: string, origin: string): TypeError;
/** Whether a string is Unicode: it has no half of a surrogate pair. */
export declare const isUnicode: (value: string) => boolean;
export declare function text(argument: string, value: unknown): string;
/** Options, or none. One that nobody knows is an error: it is another one, mistyped. */
export declare function options<T extends object>(argument: string, value: T | undefined, known: ReadonlyArray<string & keyof T>, hint?: string): Partial<T>;
/** The items of a list. */
export declare function list<T>(argument: string, value: readonly T[] | undefined, bound: string): readonly T[];
export declare function flag(argument: string, value: boolean | undefined, otherwise: boolean): boolean;
/** A whole number from `least` to `most`; `or` says what else would have done. */
export declare function whole(argument: string, value: unknown, least: number, most: number, or?: string): number;
/** Milliseconds; `Infinity` for null and nothing. */
export declare function millis(argument: string, value: number | null | undefined): number;
/** Any view of bytes as a `Uint8Array` of the same memory. */
export declare function bytes(argument: string, value: unknown, bound?: string): Uint8Array;
/** Why something cannot be sent, while the place of it is still being found. */
export declare class Refusal extends Error {
    readonly what: string;
    readonly Class: TypeErrorConstructor | RangeErrorConstructor;
    place: string;
    constructor(what: string, Class?: TypeErrorConstructor | RangeErrorConstructor);
}
/** The error to throw of one that was caught. */
export declare function refused(error: unknown): unknown;
