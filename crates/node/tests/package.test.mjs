/** The package as it is packed: it has what belongs to it, and works by itself. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bus } from './support.mjs';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const root = path.resolve(here, '../..');

/** The packed package, as a program finds it. */
function packed(context) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipmb-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const env = { ...process.env, npm_config_dry_run: 'false' };
  execFileSync('npm', ['pack', '--silent', '--offline', '--pack-destination', folder], { cwd: here, env, stdio: 'pipe' });
  const [archive] = readdirSync(folder);
  const modules = path.join(folder, 'node_modules');
  mkdirSync(modules);
  execFileSync('tar', ['-xzf', path.join(folder, archive), '-C', modules]);
  execFileSync('mv', [path.join(modules, 'package'), path.join(modules, 'ipmb-js')]);
  return { folder, inside: path.join(modules, 'ipmb-js') };
}

test('it has its readme, the licenses and all that runs, and the readme’s example does', { timeout: 120_000 }, (context) => {
  const { folder, inside } = packed(context);
  const expected = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'ipmb-js.node', 'lib', 'package.json'];
  assert.deepEqual(readdirSync(inside).sort(), expected);
  assert.deepEqual(readdirSync(path.join(inside, 'lib')).sort(), readdirSync(path.join(here, 'lib')).sort());
  for (const name of expected.slice(0, 2)) {
    assert.equal(readFileSync(path.join(inside, name), 'utf8'), readFileSync(path.join(root, name), 'utf8'));
  }
  const readme = readFileSync(path.join(inside, 'README.md'), 'utf8');
  const [, shown] = /^```js\n(.*?)^```$/ms.exec(readme);
  const program = shown.replace('com.example.readme', bus());
  const [, prints] = /^It prints:\n\n```console\n(.*?)^```$/ms.exec(readme);
  const ran = spawnSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual([ran.stdout, ran.stderr, ran.status], [prints, '', 0]);
});

test('what the readme links to is there', () => {
  const readme = readFileSync(path.join(here, 'README.md'), 'utf8');
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => path.resolve(here, link));
  assert.equal(links.length, 2);
  for (const link of links) readFileSync(link);
  const { version } = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));
  assert.ok(readme.includes(`ipmb-js-${version}.tgz`));
});
