#!/bin/sh
# Finds what a build needs before the build fails half way with somebody else's error message.
# Prints the Python interpreter to use on stdout, or what is missing on stderr.
# `need.sh languages` wants what programs in C and C++ are built with, too; `need.sh rust` no Python.
set -u
missing=0
say() { printf 'ipmb: %s\n' "$1" >&2; missing=1; }

python=
[ "${1:-}" = rust ] || for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$(command -v "$candidate")
        break
    fi
done
if [ "${1:-}" = rust ]; then
    :
elif [ -z "$python" ]; then
    say "Python 3.11 or later is missing (looked for ${PYTHON:-python3, python3.14 ... python3.11}): install it, or run make PYTHON=/path/to/python"
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    say "$python has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)"
fi
command -v cargo >/dev/null 2>&1 ||
    say "cargo is missing: install a Rust toolchain, 1.88 or later (https://rustup.rs)"
if command -v rustc >/dev/null 2>&1; then
    minor=$(rustc --version | sed -n 's/^rustc 1\.\([0-9]*\).*/\1/p')
    [ "${minor:-999}" -ge 88 ] || say "$(rustc --version) is too old: 1.88 or later is needed (rustup update)"
fi
command -v cc >/dev/null 2>&1 ||
    say "a C compiler is missing, Rust needs its linker: install gcc or clang (on Debian and Ubuntu: apt install build-essential)"
if [ "${1:-}" = languages ]; then
    command -v c++ >/dev/null 2>&1 ||
        say "a C++ compiler is missing, the C++ interface is tested with it: install g++ or clang (on Debian and Ubuntu: apt install g++)"
    command -v pkg-config >/dev/null 2>&1 ||
        say "pkg-config is missing, programs in C find the library by it: install it (on Debian and Ubuntu: apt install pkg-config)"
fi
[ "$(uname -s)" = Linux ] ||
    say "this system is $(uname -s): the bus runs on Linux for now"

[ "$missing" = 0 ] || exit 1
printf '%s\n' "$python"
