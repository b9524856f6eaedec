/** What is checked in and made from something else is what would be made now; and its types hold, strictly. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { declarations, definitions } from '../tools/build.mjs';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const tsc = path.join(here, 'node_modules/.bin/tsc');

const files = (folder) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));

function folder(context) {
  const made = mkdtempSync(path.join(tmpdir(), 'ipmb-'));
  context.after(() => rmSync(made, { recursive: true }));
  return made;
}

test('lib/ is made from face/', (context) => {
  const made = folder(context);
  execFileSync(tsc, ['-p', here, '--outDir', made]);
  copyFileSync(path.join(here, 'face/core.d.ts'), path.join(made, 'core.d.ts'));
  assert.deepEqual(files(made), files(path.join(here, 'lib')), 'run npm run types');
});

test('the types of the native half are those of its sources', { timeout: 900_000 }, () => {
  const made = declarations(definitions());
  assert.equal(made, readFileSync(path.join(here, 'face/core.d.ts'), 'utf8'), 'run npm run types');
});

for (const [name, out, ...more] of [
  ['promised', 'earth & (blue | !false)\n5 hello 0\nshared\n6\n'],
  ['beyond', 'moon true false object\n1 3 3 earth\n2 0\nleft\nRecvTimeout\n'],
  // The types of `using` are declared by @types/node too, and by no other library of the first of these.
  ['disposed', '1 1\njoined true\nfalse false\n', '--lib', 'es2022'],
  ['disposed', '1 1\njoined true\nfalse false\n', '--lib', 'es2022,esnext.disposable'],
  ['disposed', '1 1\njoined true\nfalse false\n', '--lib', 'esnext,dom'],
]) {
  const skip = name === 'disposed' && !Symbol.dispose;
  test(`a program against the types compiles strictly, and runs: ${[name, ...more].join(' ')}`, { skip }, (context) => {
    const made = folder(context);
    mkdirSync(path.join(made, 'node_modules/@types'), { recursive: true });
    symlinkSync(here, path.join(made, 'node_modules/ipmb-js'));
    symlinkSync(path.join(here, 'node_modules/@types/node'), path.join(made, 'node_modules/@types/node'));
    copyFileSync(path.join(here, `tests/programs/${name}.ts`), path.join(made, `${name}.ts`));
    const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--noImplicitReturns', '--noUnusedLocals'];
    const flags = [...strict, '--target', 'es2022', '--module', 'node16', '--moduleResolution', 'node16', '--types', 'node', ...more];
    const compiled = spawnSync(tsc, [...flags, `${name}.ts`], { cwd: made, encoding: 'utf8' });
    assert.equal(compiled.stdout + compiled.stderr, '');
    const ran = spawnSync(process.execPath, [`${name}.js`], { cwd: made, encoding: 'utf8', timeout: 60_000 });
    assert.deepEqual([ran.stdout, ran.stderr, ran.status], [out, '', 0]);
  });
}

test('everything that is handed out has a type, and the other way round', () => {
  const declared = readFileSync(path.join(here, 'lib/index.d.ts'), 'utf8');
  const index = execFileSync(process.execPath, ['-p', `Object.keys(require(${JSON.stringify(here)})).join()`], { encoding: 'utf8' });
  const names = index.trim().split(',');
  assert.ok(names.length > 25, index);
  for (const name of names) assert.match(declared, new RegExp(`\\b${name}\\b`), name);
});

test('the package has the version of the workspace, and needs nothing at run time', () => {
  const { version, dependencies, engines } = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));
  const workspace = readFileSync(path.join(here, '../../Cargo.toml'), 'utf8');
  assert.equal(version, /^version = "(.*)"$/m.exec(workspace)[1]);
  assert.equal(dependencies, undefined);
  assert.equal(engines.node, '>=18');
});
