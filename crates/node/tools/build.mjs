/**
 * Builds the package.
 *
 *     node tools/build.mjs [--release]    the native half, by cargo: ipmb-js.node
 *     node tools/build.mjs --types        what is checked in: the types of the native half, from what napi-derive says of it
 *                                         (face/core.d.ts), and by tsc what is run (lib/)
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const root = path.resolve(here, '../..');

/** Builds the library; where `definitions` is given, napi-derive writes there what it says of each item. */
function cargo(release, definitions) {
  const env = { ...process.env };
  if (definitions) env.NAPI_TYPE_DEF_TMP_FOLDER = definitions;
  const profile = release ? ['--release'] : [];
  execFileSync('cargo', ['build', '--locked', '--quiet', '-p', 'ipmb-node', ...profile], { cwd: root, env, stdio: 'inherit' });
  const target = path.resolve(root, process.env.CARGO_TARGET_DIR ?? 'target', release ? 'release' : 'debug');
  return path.join(target, 'libipmb_node.so');
}

/** The definitions, one a line, as declarations: classes with what `impl` blocks add, then interfaces. */
export function declarations(lines) {
  const kinds = { struct: new Map(), interface: new Map() };
  for (const { kind, name, js_doc: doc, def } of lines) {
    if (kind === 'impl') kinds.struct.get(name).body.push(def);
    else if (kind in kinds) kinds[kind].set(name, { doc, body: def ? [def] : [] });
    else throw new Error(`a definition of the kind ${kind}`);
  }
  const item = (keyword, name, { doc, body }) => {
    const lines = body.join('\n').split('\n').map((line) => `  ${line.trim()}`).filter((line) => line.trim());
    return `${doc}export ${keyword} ${name} {\n${lines.join('\n')}\n}\n`;
  };
  const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    '// Made from the signatures of the Rust sources by tools/build.mjs: change those.\n',
    ...sorted(kinds.struct).map(([name, value]) => item('class', name, value)),
    ...sorted(kinds.interface).map(([name, value]) => item('interface', name, value)),
  ].join('\n');
}

/** What napi-derive says of each item of the native half, made anew. */
export function definitions() {
  // The macros write when they run; a folder of another name is what cargo runs them again for.
  const folder = mkdtempSync(path.join(tmpdir(), 'ipmb-types-'));
  try {
    cargo(false, folder);
    const files = readdirSync(folder).map((file) => readFileSync(path.join(folder, file), 'utf8'));
    return files.flatMap((text) => text.trim().split('\n')).map((line) => JSON.parse(line));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Makes again what is checked in. */
function renew() {
  writeFileSync(path.join(here, 'face/core.d.ts'), declarations(definitions()));
  rmSync(path.join(here, 'lib'), { recursive: true, force: true });
  execFileSync(path.join(here, 'node_modules/.bin/tsc'), ['-p', here], { cwd: here, stdio: 'inherit' });
  // Declarations are no sources to tsc, and stay behind.
  copyFileSync(path.join(here, 'face/core.d.ts'), path.join(here, 'lib/core.d.ts'));
}

function main(flags) {
  if (flags.includes('--types')) return renew();
  const addon = path.join(here, 'ipmb-js.node');
  // Not over the old one: a process may have it mapped.
  copyFileSync(cargo(flags.includes('--release')), `${addon}.new`);
  // What debuggers want of it is seven times its size; without strip it stays.
  if (flags.includes('--release')) spawnSync('strip', ['--strip-unneeded', `${addon}.new`]);
  renameSync(`${addon}.new`, addon);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
