# What install.sh and uninstall.sh have in common: what is installed, and under which names. It is read with `prefix` and
# `libdir` set, and DESTDIR where packagers set it.

case $prefix in
/*) ;;
*) echo "PREFIX is $prefix: give an absolute path" >&2 && exit 1 ;;
esac

to=${DESTDIR:-}$prefix
pc=$to/$libdir/pkgconfig/ipmb.pc
cmake=$to/$libdir/cmake/ipmb

# The version of the interface that a version has: below 1.0 each minor version has one of its own. build.rs gives the shared
# library that name.
interface() {
    case $1 in
    0.*) echo "$1" | sed 's/^\(0\.[0-9]*\).*/\1/' ;;
    *) echo "${1%%.*}" ;;
    esac
}

# Every file that is installed of a version, one a line.
names() {
    echo "$to/include/ipmb_ffi.h"
    echo "$to/include/ipmb.h"
    echo "$to/$libdir/libipmb.so.$1"
    echo "$to/$libdir/libipmb.so.$(interface "$1")"
    echo "$to/$libdir/libipmb.so"
    echo "$to/$libdir/libipmb.a"
    echo "$pc"
    echo "$cmake/ipmb-config.cmake"
    echo "$cmake/ipmb-config-version.cmake"
}
