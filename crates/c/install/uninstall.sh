#!/bin/sh
# Removes what install.sh has installed: uninstall.sh PREFIX [LIBDIR], and DESTDIR, as that was called. Directories stay, but for
# the one that is ipmb's own, and so do versions that were installed before another one.
set -eu

prefix=$1
libdir=${2:-lib}
. "$(dirname "$0")/names.sh"

if [ ! -f "$pc" ]; then
    echo "$pc is not there: give the PREFIX, LIBDIR and DESTDIR that it was installed with" >&2
    exit 1
fi
# The version that is installed may be another than that of this source.
version=$(sed -n 's/^Version: //p' "$pc")
echo "ipmb $version is removed:"
names "$version" | while IFS= read -r name; do
    if [ -e "$name" ] || [ -L "$name" ]; then
        rm -f "$name"
        echo "  $name"
    fi
done
rmdir "$cmake" 2> /dev/null || true
