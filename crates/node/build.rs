//! How the library is linked: its symbols of Node come from the process that loads it.

fn main() {
    napi_build::setup();
    // Node unloads an addon with the last worker that has loaded it; the core thread goes on running its code.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
