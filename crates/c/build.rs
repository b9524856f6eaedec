//! What the loader has to know of the shared library: its name with the version of its interface, by which programs ask for
//! it; and that it stays loaded for ever, since a thread of its own runs in it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Below 1.0 each minor version has an interface of its own. install/names.sh and the CMake files say the same.
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let interface = if major == "0" { format!("0.{minor}") } else { major.to_owned() };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libipmb.so.{interface}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
