//! The bounds that the headers name are those of the core.

use std::fs;
use std::path::Path;

use ipmb_bus::limits;

/// A number as pages and headers write it: 4,096.
fn written(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let places = digits.chars().enumerate();
    places.fold(String::new(), |text, (place, digit)| {
        let comma = if place > 0 && (digits.len() - place).is_multiple_of(3) { "," } else { "" };
        text + comma + &digit.to_string()
    })
}

/// What is said right above the first line that has such a declaration.
fn comment(header: &str, declaration: &str) -> String {
    let lines: Vec<_> = header.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| !line.starts_with("//") && line.contains(declaration));
    let place = place.unwrap_or_else(|| panic!("{declaration} is not declared"));
    let said = lines[..place].iter().rev().take_while(|line| line.starts_with("//"));
    let mut said: Vec<_> = said.map(|line| line.trim_start_matches('/').trim()).collect();
    said.reverse();
    said.join(" ")
}

fn check(name: &str, bounds: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include").join(name);
    let header = fs::read_to_string(path).expect("a header");
    for (declaration, bound) in bounds {
        let said = comment(&header, declaration);
        assert!(said.contains(bound), "{name}: {declaration} has to say {bound:?}, and says: {said}");
    }
}

fn element() -> String {
    format!("1 to {} bytes", written(limits::LABEL_ELEMENT_BYTES))
}

fn all_elements() -> String {
    format!("{} bytes in all", written(limits::LABEL_BYTES))
}

fn operators() -> String {
    format!("{} operators and elements", written(limits::LABEL_OP_NODES))
}

fn levels() -> String {
    format!("{} levels", written(limits::LABEL_OP_DEPTH))
}

fn travels() -> String {
    format!("{} bytes as it travels", written(limits::LABEL_OP_BYTES))
}

fn identifier() -> String {
    format!("1 to {} bytes", written(limits::IDENTIFIER_BYTES))
}

fn token() -> String {
    format!("up to {}", written(limits::TOKEN_BYTES))
}

/// The largest number that is not `TIMEOUT_INFINITE`.
fn ttl() -> String {
    format!("up to {}", written(ipmb::message::TIMEOUT_INFINITE - 1))
}

fn waiting() -> String {
    format!(
        "Up to {} messages of a sender wait, and up to {} MiB",
        written(limits::PARKED_MESSAGES),
        limits::PARKED_BYTES >> 20
    )
}

fn payload() -> String {
    format!("{} bytes", written(limits::PAYLOAD_BYTES))
}

/// A payload of bytes begins with two for its format.
fn bytes() -> String {
    written(limits::PAYLOAD_BYTES - 2)
}

fn objects() -> String {
    format!("p to {}", written(limits::OBJECTS_PER_MESSAGE))
}

fn regions() -> String {
    format!("p to {}", written(limits::REGIONS_PER_MESSAGE))
}

#[test]
fn the_c_header_names_the_bounds() {
    let mib = limits::PARKED_BYTES >> 20;
    let waits = format!("{} messages of this sender wait, or {mib} MiB", written(limits::PARKED_MESSAGES));
    check(
        "ipmb_ffi.h",
        &[
            ("const char *identifier;", identifier()),
            ("const char *identifier;", format!("up to {} endpoints", written(limits::MEMBERS))),
            ("const Label *label;", format!("up to {} elements", written(limits::LABEL_ELEMENTS))),
            ("const Label *label;", all_elements()),
            ("const char *token;", token()),
            ("ipmb_label_insert(", element()),
            ("ipmb_label_insert(", format!("up to {} elements", written(limits::LABEL_ELEMENTS))),
            ("ipmb_label_insert(", all_elements()),
            ("ipmb_label_op_leaf(", element()),
            ("ipmb_label_op_parse(", operators()),
            ("ipmb_label_op_parse(", levels()),
            ("ipmb_label_op_parse(", travels()),
            ("ipmb_label_op_not(", levels()),
            ("uint32_t ttl;", ttl()),
            ("uint32_t ttl;", waiting()),
            ("ipmb_send(", payload()),
            ("ipmb_send(", waits),
            ("ipmb_message(", bytes()),
            ("ipmb_message_typed(", payload()),
            ("ipmb_message_object_append(", objects()),
            ("ipmb_message_memory_region_append(", regions()),
        ],
    );
}

#[test]
fn the_cpp_header_names_them_too() {
    check(
        "ipmb.h",
        &[
            ("Label& append(", element()),
            ("Label& append(", format!("up to {} of them", written(limits::LABEL_ELEMENTS))),
            ("Label& append(", all_elements()),
            ("class LabelOp", operators()),
            ("class LabelOp", levels()),
            ("class LabelOp", travels()),
            ("Options(std::string", identifier()),
            ("Options(std::string", token()),
            ("Selector(LabelOp", ttl()),
            ("Selector(LabelOp", waiting()),
            ("Message(const Selector&", bytes()),
            ("static Message typed(", payload()),
            ("void object_append(", objects()),
            ("void memory_region_append(", regions()),
        ],
    );
}

#[test]
fn numbers_are_written_as_on_the_page() {
    assert_eq!((written(7_u64), written(255_u64), written(4096_u64)), ("7".into(), "255".into(), "4,096".into()));
    assert_eq!((written(100_000_u64), written(4_294_967_295_u64)), ("100,000".into(), "4,294,967,295".into()));
}
