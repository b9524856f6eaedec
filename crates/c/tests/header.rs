//! The header is made of the source, and is what is checked in.
//!
//! `make header` (IPMB_WRITE_HEADER=1) writes it. Types and constants stand in it twice, as C and as C++ have them; functions
//! once, for both.

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, ItemType, Language, ParseConfig, SortKey, Style};

const HEAD: &str = "\
// The C interface of ipmb. Made by `make header` of crates/c/src: do not edit.
//
// Handles are `void*`. A function that uses a handle takes a pointer to it, one that takes it by value consumes it. Null
// handles and pointers do no harm: a function that returns an ErrorCode gives -1, others null or 0. Each function says which
// threads may call it. Text is UTF-8 and ends with a NUL; times are milliseconds. In a child after fork the parent's senders,
// receivers and regions fail with ERROR_CODE_FORKED, and are still to be dropped. The library stays loaded after dlclose.

#ifndef IPMB_FFI_H
#define IPMB_FFI_H

#include <stdbool.h>
#include <stdint.h>
";

const MODE_C: &str = "\
// To one of those who match, or to all.
typedef enum SelectorMode { kUnicast, kMulticast } SelectorMode;
";

const MODE_CPP: &str = "\
// To one of those who match, or to all.
enum class SelectorMode { kUnicast, kMulticast };
";

fn config(language: Language, items: Vec<ItemType>) -> Config {
    let mut config = Config {
        language,
        style: Style::Both,
        no_includes: true,
        documentation_style: DocumentationStyle::Cxx,
        line_length: 120,
        tab_width: 4,
        parse: ParseConfig::default(),
        ..Config::default()
    };
    config.export.item_types = items;
    config.export.exclude = vec!["SelectorMode".to_owned()];
    config.constant.allow_static_const = true;
    config.constant.allow_constexpr = true;
    config.constant.sort_by = Some(SortKey::None);
    config.function.sort_by = Some(SortKey::None);
    config
}

fn generated(language: Language, items: Vec<ItemType>) -> String {
    let mut text = Vec::new();
    let builder = Builder::new().with_crate(env!("CARGO_MANIFEST_DIR")).with_config(config(language, items));
    builder.generate().expect("a source that can be read").write(&mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    // What Rust asks of callers is said by the rest of the comment, in words that C has.
    text.replace("\n/// # Safety\n", "\n").replace("///", "//").trim().to_owned()
}

/// Macros as C programmers write them, so that they can stand in any expression.
fn macros(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')) {
        Some((name, "4294967295")) => format!("#define {name} (~0u)\n"),
        Some((name, "18446744073709551615ull")) => format!("#define {name} UINT64_MAX\n"),
        Some((name, value)) if value.starts_with('-') => format!("#define {name} ({value})\n"),
        Some((name, value)) => format!("#define {name} {value}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect::<String>().trim().to_owned()
}

fn types() -> Vec<ItemType> {
    vec![ItemType::Constants, ItemType::Enums, ItemType::Structs, ItemType::Typedefs, ItemType::OpaqueItems]
}

fn header() -> String {
    let c = macros(&generated(Language::C, types()));
    let cpp = generated(Language::Cxx, types());
    let functions = generated(Language::C, vec![ItemType::Functions]);
    format!(
        "{HEAD}
#ifdef __cplusplus

namespace ipmb_ffi {{

{MODE_CPP}
{cpp}

extern \"C\" {{

#else

{MODE_C}
{c}

#endif // __cplusplus

{functions}

#ifdef __cplusplus
}} // extern \"C\"
}} // namespace ipmb_ffi
#endif // __cplusplus

#endif // IPMB_FFI_H
"
    )
}

#[test]
fn the_header_is_that_of_the_source() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/ipmb_ffi.h");
    let made = header();
    if std::env::var_os("IPMB_WRITE_HEADER").is_some() {
        fs::write(&path, &made).expect("a place for the header");
    }
    let kept = fs::read_to_string(&path).expect("include/ipmb_ffi.h");
    assert!(kept == made, "crates/c/include/ipmb_ffi.h is not that of the source: run `make header`");
}
