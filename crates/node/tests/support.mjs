/** What tests share: a bus of one's own, and programs in processes of their own that end whatever happens. */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export const index = path.resolve(here, '../lib/index.js');

let last = 0;

/** The name of a bus that nobody else has. */
export function bus() {
  last += 1;
  return `com.example.node.${process.pid}.${last}`;
}

/** Runs a program of JavaScript; resolves to its exit code, signal and output. Killed after so many milliseconds. */
export function program(source, { timeout = 20_000, env = {}, flags = [], say } = {}) {
  const text = `import ipmb from ${JSON.stringify(index)};\n${source}`;
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', text], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const out = [];
  child.stdout.on('data', (data) => {
    out.push(data);
    say?.(data.toString(), child);
  });
  const errors = [];
  child.stderr.on('data', (data) => errors.push(data));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, out: Buffer.concat(out).toString(), errors: Buffer.concat(errors).toString() });
    });
  });
}

/** Resolves when `true` comes of `look`, which is tried again and again. */
export async function until(look, millis = 10_000) {
  const end = Date.now() + millis;
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`not in ${millis} ms: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Collects garbage until its finalizers have run. Needs --expose-gc. */
export async function collect() {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A program in which `endpoint`, with the label "me", has joined a bus of its own; it says when it is over. */
export const joined = (source) => `
const endpoint = await ipmb.join({ identifier: ${JSON.stringify(bus())}, label: ['me'] }, 10_000);
const { sender, receiver } = endpoint;
process.on('exit', () => console.log('over'));
${source}`;
