#!/bin/sh
# Installs the library for C and C++: install.sh BUILT PREFIX [LIBDIR], where BUILT has libipmb.so and libipmb.a as cargo made
# them and LIBDIR is below PREFIX, "lib" unless given. With DESTDIR set all goes below that instead, for packagers.
set -eu

built=$1
prefix=$2
libdir=${3:-lib}
here=$(dirname "$0")
. "$here/names.sh"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../../Cargo.toml" | head -n 1)
interface=$(interface "$version")
# From LIBDIR/cmake/ipmb back to PREFIX.
up=../..$(echo "/$libdir" | sed 's#/[^/][^/]*#/..#g')

# A text as the right side of sed's s#..#..# takes it.
quoted() {
    printf '%s' "$1" | sed 's/[&#\\]/\\&/g'
}

fill() {
    sed -e "s#@PREFIX@#$(quoted "$prefix")#g" -e "s#@LIBDIR@#$(quoted "$libdir")#g" -e "s#@VERSION@#$version#g" \
        -e "s#@INTERFACE@#$interface#g" -e "s#@UP@#$up#g" "$here/$1" > "$2"
    chmod 644 "$2"
}

mkdir -p "$to/include" "$to/$libdir/pkgconfig" "$cmake"
install -m 644 "$here/../include/ipmb_ffi.h" "$here/../include/ipmb.h" "$to/include/"
install -m 755 "$built/libipmb.so" "$to/$libdir/libipmb.so.$version"
ln -sf "libipmb.so.$version" "$to/$libdir/libipmb.so.$interface"
ln -sf "libipmb.so.$interface" "$to/$libdir/libipmb.so"
install -m 644 "$built/libipmb.a" "$to/$libdir/libipmb.a"
# What debuggers want of them is seven times their size; packagers keep that apart themselves.
if [ -z "${DESTDIR:-}" ] && command -v strip > /dev/null; then
    strip --strip-unneeded "$to/$libdir/libipmb.so.$version" || true
    strip --strip-debug "$to/$libdir/libipmb.a" || true
fi
fill ipmb.pc.in "$pc"
fill ipmb-config.cmake "$cmake/ipmb-config.cmake"
fill ipmb-config-version.cmake "$cmake/ipmb-config-version.cmake"
echo "ipmb $version is installed:"
names "$version" | sed 's/^/  /'
case ${DESTDIR:+staged}$prefix in
staged*) ;;
/usr | /usr/local) echo "Programs find it when you have run, as root: ldconfig" ;;
*) echo "Programs find it by PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig (or CMAKE_PREFIX_PATH=$prefix) and LD_LIBRARY_PATH=$prefix/$libdir" ;;
esac
