#!/bin/sh
# Installs the library for C and C++: install.sh BUILT PREFIX [LIBDIR], where BUILT has libipmb.so and libipmb.a as cargo made
# them and LIBDIR is below PREFIX, "lib" unless given. With DESTDIR set all goes below that instead, for packagers.
set -eu

built=$1
prefix=$2
libdir=${3:-lib}
here=$(dirname "$0")
to=${DESTDIR:-}$prefix

case $prefix in
/*) ;;
*) echo "PREFIX is $prefix: give an absolute path" >&2 && exit 1 ;;
esac

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../../Cargo.toml" | head -n 1)
major=${version%%.*}
rest=${version#*.}
minor=${rest%%.*}
# From LIBDIR/cmake/ipmb back to PREFIX.
up=../..$(echo "/$libdir" | sed 's#/[^/][^/]*#/..#g')

fill() {
    sed -e "s#@PREFIX@#$prefix#g" -e "s#@LIBDIR@#$libdir#g" -e "s#@VERSION@#$version#g" -e "s#@MAJOR@#$major#g" \
        -e "s#@MINOR@#$minor#g" -e "s#@UP@#$up#g" "$here/$1" > "$2"
    chmod 644 "$2"
}

mkdir -p "$to/include" "$to/$libdir/pkgconfig" "$to/$libdir/cmake/ipmb"
install -m 644 "$here/../include/ipmb_ffi.h" "$here/../include/ipmb.h" "$to/include/"
install -m 755 "$built/libipmb.so" "$to/$libdir/libipmb.so.$version"
ln -sf "libipmb.so.$version" "$to/$libdir/libipmb.so.$major"
ln -sf "libipmb.so.$major" "$to/$libdir/libipmb.so"
install -m 644 "$built/libipmb.a" "$to/$libdir/libipmb.a"
fill ipmb.pc.in "$to/$libdir/pkgconfig/ipmb.pc"
fill ipmb-config.cmake "$to/$libdir/cmake/ipmb/ipmb-config.cmake"
fill ipmb-config-version.cmake "$to/$libdir/cmake/ipmb/ipmb-config-version.cmake"
