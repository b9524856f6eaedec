/** The native half. Its types, in `core.d.ts`, are made from the signatures of the Rust sources. */
import type * as core from './core';
export declare const native: typeof core;
export type { core };
