//! Payloads are the same bytes in every language: this is Rust's reading of the vectors that all of them share.

use std::path::Path;

use ipmb_binding::moment::Moment;
use ipmb_binding::types::Type;
use ipmb_binding::value::{Unfit, Value};
use serde::Deserialize as _;
use serde_json::Value as Json;

fn vectors() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/payloads.json");
    let text = std::fs::read_to_string(path).expect("the vectors");
    // Some of them are lists 200 deep.
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    deserializer.disable_recursion_limit();
    Json::deserialize(&mut deserializer).expect("JSON")
}

fn hex(text: &Json) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn uuid(text: &Json) -> Type {
    Type::from_str_radix(&text.as_str().expect("a UUID").replace('-', ""), 16).expect("a UUID")
}

/// What a notation means.
fn value(notation: &Json) -> Value {
    let all = |items: &Json| items.as_array().expect("a list").iter().map(value).collect::<Vec<_>>();
    let text = |text: &Json| text.as_str().expect("text").to_owned();
    match notation[0].as_str().expect("a kind") {
        "none" => Value::None,
        "bool" => Value::Bool(notation[1].as_bool().expect("a truth value")),
        "int" => Value::Int(text(&notation[1]).parse().expect("digits")),
        "float" => Value::Float(f64::from_be_bytes(hex(&notation[1]).try_into().expect("eight bytes"))),
        "str" => Value::Str(text(&notation[1])),
        "bytes" => Value::Bytes(hex(&notation[1])),
        "list" => Value::List(all(&notation[1])),
        "dict" => {
            let entries = notation[1].as_array().expect("entries").iter();
            Value::Dict(entries.map(|entry| (value(&entry[0]), value(&entry[1]))).collect())
        }
        "datetime" => Value::Datetime(Moment::parse(&text(&notation[1])).expect("a time")),
        "uuid" => Value::Uuid(uuid(&notation[1]).to_be_bytes()),
        "bytes_message" => Value::BytesMessage(notation[1].as_u64().expect("a format") as u16, hex(&notation[2])),
        "typed" => Value::Typed(uuid(&notation[1]), Box::new(value(&notation[2]))),
        other => panic!("no notation: {other}"),
    }
}

/// Equal all the way down, NaN to itself and -0.0 not to 0.0; of a key that comes twice the last one counts.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Dict(one), Value::Dict(other)) => {
            let last = |entries: &[(Value, Value)]| {
                let again = |at: usize| entries[at + 1..].iter().any(|later| same(&later.0, &entries[at].0));
                (0..entries.len()).filter(|at| !again(*at)).map(|at| entries[at].clone()).collect::<Vec<_>>()
            };
            let (one, other) = (last(one), last(other));
            one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| same(&one.0, &other.0) && same(&one.1, &other.1))
        }
        (Value::Typed(one, inner), Value::Typed(other, outer)) => one == other && same(inner, outer),
        (one, other) => one == other,
    }
}

fn each(kind: &str, mut check: impl FnMut(&Json, Type, Vec<u8>)) {
    let vectors = vectors();
    let all = vectors[kind].as_array().expect("vectors");
    assert!(all.len() > 5, "{} of {kind}", all.len());
    for vector in all {
        check(vector, uuid(&vector["type"]), hex(&vector["bytes"]));
    }
}

#[test]
fn values_are_encoded_to_these_bytes_and_come_back() {
    each("exact", |vector, type_id, bytes| {
        let value = value(&vector["value"]);
        assert_eq!(value.encode(), Ok((type_id, bytes.clone())), "{}", vector["name"]);
        let decoded = Value::decode(type_id, &bytes);
        assert!(decoded.as_ref().is_some_and(|decoded| same(decoded, &value)), "{}: {decoded:?}", vector["name"]);
    });
}

#[test]
fn what_others_write_so_is_read() {
    each("also", |vector, type_id, bytes| {
        let decoded = Value::decode(type_id, &bytes);
        let is_it = decoded.as_ref().is_some_and(|decoded| same(decoded, &value(&vector["value"])));
        assert!(is_it, "{}: {decoded:?}", vector["name"]);
    });
}

#[test]
fn garbage_is_nothing() {
    each("garbage", |vector, type_id, bytes| {
        assert_eq!(Value::decode(type_id, &bytes), None, "{}", vector["name"]);
    });
}

#[test]
fn what_would_not_arrive_is_not_sent() {
    assert_eq!(Value::Int(1 << 64).encode(), Err(Unfit::Integer));
    assert_eq!(Value::List(vec![Value::Int(-(1 << 63) - 1)]).encode(), Err(Unfit::Integer));
    assert_eq!(Value::Dict(vec![(Value::List(Vec::new()), Value::None)]).encode(), Err(Unfit::Key));
    let deep = (0..201).fold(Value::None, |inner, _| Value::List(vec![inner]));
    assert_eq!(deep.encode(), Err(Unfit::Depth));
}
