/** The native half. Its types, in `core.d.ts`, are made from the signatures of the Rust sources. */

import type * as core from './core';

function load(): typeof core {
  try {
    return require('../ipmb-js.node') as typeof core;
  } catch (error) {
    const text = 'the native half of ipmb-js cannot be loaded: build it with `make node`, on Linux, for Node 18 or later';
    throw new Error(text, { cause: error });
  }
}

export const native = load();

export type { core };
