//! How much unsafe code there is, and where: a list that may get shorter.
//!
//! The lints ask a reason of each block and one operation in it, wherever clippy looks. Here it is that there is none outside
//! this crate but at the boundary to C, in no test, example or fuzzer but the one that calls from C's side, and that no file gets
//! more unnoticed: `unsafe.txt` has the number for each, whoever adds one has to change it there, and whoever removes one is
//! asked to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rust sources below a folder, whatever they are for, but this one.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("unsafe_code.rs") {
            found.push(path);
        }
    }
}

/// How often a source says `unsafe` in earnest: not in a comment, nor as part of another word, nor in quotes.
fn count(text: &str) -> usize {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '"';
    code.map(|line| line.split(|character| !is_part(character)).filter(|word| *word == "unsafe").count()).sum()
}

fn counts(root: &Path) -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    for folder in ["crates", "fuzz", "examples", "benches", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    let count = |file: PathBuf| {
        let place = file.strip_prefix(root).expect("below the root").to_str().expect("a name").to_owned();
        (place, count(&fs::read_to_string(&file).expect("a source")))
    };
    files.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

#[test]
fn unsafe_code_only_gets_less() {
    let list = include_str!("../unsafe.txt").lines().filter_map(|line| line.rsplit_once(' '));
    let listed: BTreeMap<_, _> =
        list.map(|(file, count)| (file.to_owned(), count.parse().expect("a number"))).collect();
    let found = counts(&root());
    let lines: String = found.iter().map(|(file, count)| format!("{file} {count}\n")).collect();
    for (file, count) in &found {
        let most = listed.get(file).copied().unwrap_or(0);
        assert!(*count <= most, "{file} says `unsafe` {count} times, {most} are listed in crates/transport/unsafe.txt");
    }
    assert!(found == listed, "there is less unsafe code; crates/transport/unsafe.txt has to be\n{lines}");
}

/// Where callers are in another language, whose word on pointers has to be taken; the last one is such a caller.
const BOUNDARIES: [&str; 4] =
    ["crates/c/src/", "crates/node/src/event_loop.rs", "crates/node/src/external.rs", "fuzz/targets/abi/program.rs"];

#[test]
fn it_is_all_in_the_transport_and_at_the_boundary() {
    for file in counts(&root()).keys() {
        let known = BOUNDARIES.iter().any(|folder| file.starts_with(folder)) || file.starts_with("crates/transport/");
        assert!(known, "{file} has unsafe code");
    }
    for name in ["bus", "binding", "python"] {
        let map = fs::read_to_string(root().join(format!("crates/{name}/src/lib.rs"))).expect("a map");
        assert!(map.contains("\n#![forbid(unsafe_code)]\n"), "{name} may have unsafe code");
    }
}

#[test]
fn words_are_counted_and_nothing_else() {
    assert_eq!(count("// unsafe { }\n/// unsafe\nlet a = 1; // SAFETY: unsafe"), 0);
    assert_eq!(count("#![forbid(unsafe_code)] \"unsafe\" not_unsafe"), 0);
    assert_eq!(count("unsafe { a() };unsafe{b()}\npub unsafe fn c() {}\nunsafe impl Send for D {}"), 4);
    assert_eq!(count("f(unsafe { a() })"), 1);
}
