/** Small values: who an endpoint is, and payloads for which JavaScript has no type of its own. */
/** Who an endpoint is, as the kernel and the directory know it. */
export interface EndpointInfo {
    /** Number that no other endpoint of the bus has. */
    readonly id: bigint;
    /** The label it joined with. */
    readonly label: readonly string[];
    /** Its process. */
    readonly pid: number;
}
/** Bytes, and a number that says what they are: what programs in C and C++ exchange. */
export declare class BytesMessage {
    /** 0 to 65535. */
    readonly format: number;
    readonly data: Buffer;
    constructor(format: number, data: Uint8Array);
}
/** A number that travels as a float though it is whole: `new Float(1)`. It arrives as a number. */
export declare class Float {
    readonly value: number;
    constructor(value: number);
    valueOf(): number;
}
/** A universally unique identifier. */
export declare class UUID {
    #private;
    /** Of its text, or of its 16 bytes. */
    constructor(value: string | Uint8Array);
    /** A copy of its 16 bytes. */
    get bytes(): Buffer;
    equals(other: UUID): boolean;
    toString(): string;
    toJSON(): string;
}
/** An object of a type that has a UUID of its own: what Python's `message_type` declares. Its value is a plain one. */
export declare class Typed {
    readonly type: UUID;
    readonly value: unknown;
    constructor(type: UUID | string, value: unknown);
}
