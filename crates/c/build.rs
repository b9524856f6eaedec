//! What the loader has to know of the shared library: its name with the version of its interface, by which programs ask for
//! it; and that it stays loaded for ever, since a thread of its own runs in it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libipmb.so.{}", env!("CARGO_PKG_VERSION_MAJOR"));
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
