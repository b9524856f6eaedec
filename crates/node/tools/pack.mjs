/** Before the package is packed: what is in it, but not checked in here. */

import { copyFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

if (!existsSync(path.join(here, 'ipmb-js.node'))) {
  console.error('ipmb-js.node is missing: build it with `make node`');
  process.exit(1);
}
for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
  copyFileSync(path.resolve(here, '../..', name), path.join(here, name));
}
