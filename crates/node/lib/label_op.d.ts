/** Who a message is for. */
import { type core } from './native';
/** A boolean expression over labels. `not`, `and` and `or` change it in place, and return it. */
export declare class LabelOp {
    #private;
    /** Of a string the endpoints whose label holds it, of `true` all endpoints, of `false` none. */
    constructor(value: boolean | string);
    /** What `toString` gave: `a & (b | !c)`. */
    static parse(expression: string): LabelOp;
    not(): this;
    and(other: LabelOp | string | boolean): this;
    or(other: LabelOp | string | boolean): this;
    /** Whether an endpoint with this label is meant. */
    matches(label: readonly string[]): boolean;
    toString(): string;
}
/** The elements of a label. */
export declare function labels(argument: string, value: readonly string[] | undefined): string[];
/** Who gets a message among those who match. */
export declare enum SelectorMode {
    /** Exactly one. */
    Unicast = 0,
    /** Every one. */
    Multicast = 1
}
/** Where a message goes. */
export interface Selector {
    /** Who is meant; a string means those whose label holds it. */
    labelOp: LabelOp | string | boolean;
    /** One of them (this if left out) or all. */
    mode?: SelectorMode;
    /** Milliseconds that the message waits while nobody matches, 0 if left out; null and `Infinity` are for ever. */
    ttl?: number | null;
}
/** A selector that was checked. */
export interface Target {
    readonly op: core.LabelOp;
    readonly multicast: boolean;
    readonly ttl: number;
}
export declare function target(selector: unknown): Target;
