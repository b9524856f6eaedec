//! The cases that were kept of the fuzzer of the C ABI are harmless, in a program that no fuzzer runs.

#[path = "../../../fuzz/targets/abi/program.rs"]
mod program;

#[test]
fn the_abi_corpus_is_harmless() {
    program::replay();
}
