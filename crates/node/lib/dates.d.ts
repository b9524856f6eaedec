/** Points in time, as text in ISO 8601: what Python's `isoformat` writes. */
/** A point in time as Python writes it. */
export declare function writeDate(date: Date): string;
/** A point in time as Python writes it; without an offset it is local. JavaScript keeps milliseconds. */
export declare function readDate(text: string): Date;
