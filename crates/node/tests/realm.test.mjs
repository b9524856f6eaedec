/** In a vm context, as test runners load a package: built-in classes are others there, but for those that Node's own code makes. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import vm from 'node:vm';
import { bus, index } from './support.mjs';

const require = createRequire(import.meta.url);

/** The package, each of its files evaluated in a context of its own; what Node has built in comes from outside. */
function loaded() {
  const outside = { Buffer, console, setTimeout, clearTimeout, setImmediate, clearImmediate, process, performance, TextDecoder, AbortSignal, AbortController };
  const context = vm.createContext({ ...outside, ArrayBuffer, Uint8Array });
  const modules = new Map();
  const load = (file) => {
    if (file.endsWith('.node')) return require(file);
    const known = modules.get(file);
    if (known) return known.exports;
    const module = { exports: {} };
    modules.set(file, module);
    const inner = (name) => {
      if (!name.startsWith('.')) return require(name);
      const base = path.resolve(path.dirname(file), name);
      const found = ['', '.js', '/index.js'].map((end) => base + end).find((it) => existsSync(it) && statSync(it).isFile());
      return load(found);
    };
    const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`;
    const body = vm.runInContext(source, context, { filename: file });
    body(module.exports, inner, module, file, path.dirname(file));
    return module.exports;
  };
  return load(index);
}

test('native errors are of our classes there, and values of both realms are values', async () => {
  const { join, NoRoute, IpmbError, MemoryRegion, SystemError } = loaded();
  const me = await join({ identifier: bus(), label: ['me'] }, 10_000);
  await assert.rejects(me.sender.request('nobody', 1), (error) => error instanceof NoRoute && error instanceof IpmbError);
  assert.throws(() => new MemoryRegion(1e15), (error) => error instanceof SystemError);
  const value = { list: [1, new Date(5), new Map([['a', 1]]), Buffer.from('x'), new Uint8Array(2)] };
  assert.equal(await me.sender.send('me', value), 1);
  const { list } = (await me.receiver.recv(10_000)).payload;
  assert.equal(list[1].getTime(), 5);
  assert.equal(list[3].toString(), 'x');
  const loop = (async () => {
    for await (const message of me.receiver) assert.equal(message, undefined);
    return 'over';
  })();
  setTimeout(() => me.close(), 20);
  assert.equal(await loop, 'over');
});
