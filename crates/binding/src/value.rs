//! The built-in payloads as values of Rust: what a program in Rust sends to and gets from Python and JavaScript.
//!
//! A payload that comes is a peer's: lengths are checked against the bytes that are there before anything is made of them, nesting
//! is bounded, and what is no payload of its type is `None`. Arrays and tables have no value here: they are Python's.

use ipmb_bus::limits::PAYLOAD_DEPTH;
use rmp::Marker;
use rmp::decode;
use rmp::encode::{self, ByteBuf};

use crate::moment::Moment;
use crate::types::{BOOL, BYTES, BYTES_MESSAGE, DATETIME, DICT, FLOAT, INT, LAST, LIST, NONE, STR, Type, UUID, VIEW};

/// The codes of extensions, as `docs/payloads.md` has them.
const EXT_UUID: i8 = 1;
const EXT_DATETIME: i8 = 2;
const EXT_BYTES_MESSAGE: i8 = 3;
const EXT_TYPED: i8 = 11;

/// A payload, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer; those of all other languages are from -2^63 to 2^64-1.
    Int(i128),
    /// A float.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in a row.
    List(Vec<Value>),
    /// Keys and values in their order; of a key that comes twice the last one counts.
    Dict(Vec<(Value, Value)>),
    /// A point in time.
    Datetime(Moment),
    /// A UUID.
    Uuid([u8; 16]),
    /// Bytes, and a number that says what they are.
    BytesMessage(u16, Vec<u8>),
    /// An object of a type that a program has registered: what MessagePack says of it.
    Typed(Type, Box<Value>),
}

/// Why a value cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// An integer beyond -2^63 or 2^64-1.
    Integer,
    /// Lists and dicts, one in the other, beyond [`PAYLOAD_DEPTH`].
    Depth,
    /// A key of a dict that is neither nothing, nor a truth value, a number, text or bytes.
    Key,
    /// Something of 4 GiB or more.
    Length,
}

impl Value {
    /// The type under which it travels, and its bytes.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn encode(&self) -> Result<(Type, Vec<u8>), Unfit> {
        let nested = |value: &Value| -> Result<Vec<u8>, Unfit> {
            let mut out = ByteBuf::new();
            write(&mut out, value, PAYLOAD_DEPTH)?;
            Ok(out.into_vec())
        };
        Ok(match self {
            Value::None => (NONE, nested(self)?),
            Value::Bool(_) => (BOOL, nested(self)?),
            Value::Int(_) => (INT, nested(self)?),
            Value::Float(_) => (FLOAT, nested(self)?),
            Value::List(_) => (LIST, nested(self)?),
            Value::Dict(_) => (DICT, nested(self)?),
            Value::Str(text) => (STR, text.clone().into_bytes()),
            Value::Bytes(bytes) => (BYTES, bytes.clone()),
            Value::Datetime(moment) => (DATETIME, moment.to_string().into_bytes()),
            Value::Uuid(uuid) => (UUID, uuid.to_vec()),
            Value::BytesMessage(format, data) => (BYTES_MESSAGE, formatted(*format, data)),
            Value::Typed(type_id, value) => (*type_id, nested(value)?),
        })
    }

    /// The payload that travelled as these bytes under this type. `None`: they are no such thing, or one of Python's own.
    pub fn decode(type_id: Type, bytes: &[u8]) -> Option<Value> {
        match type_id {
            STR => text(bytes),
            BYTES | VIEW => Some(Value::Bytes(bytes.to_vec())),
            DATETIME => moment(bytes),
            UUID => uuid(bytes),
            BYTES_MESSAGE => bytes_message(bytes),
            NONE..=LAST => {
                let value = whole(bytes, type_id == FLOAT)?;
                let is_it = match type_id {
                    NONE => matches!(value, Value::None),
                    BOOL => matches!(value, Value::Bool(_)),
                    INT => matches!(value, Value::Int(_)),
                    FLOAT => matches!(value, Value::Float(_)),
                    LIST => matches!(value, Value::List(_)),
                    DICT => matches!(value, Value::Dict(_)),
                    _ => false,
                };
                is_it.then_some(value)
            }
            _ => whole(bytes, false).map(|value| Value::Typed(type_id, Box::new(value))),
        }
    }

    fn is_key(&self) -> bool {
        use Value::{Bool, Bytes, Float, Int, None, Str};
        matches!(self, None | Bool(_) | Int(_) | Float(_) | Str(_) | Bytes(_))
    }
}

fn formatted(format: u16, data: &[u8]) -> Vec<u8> {
    [&format.to_le_bytes(), data].concat()
}

/// What is written into memory is written.
fn sure<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "memory takes what is written to it");
}

fn length(len: usize) -> Result<u32, Unfit> {
    u32::try_from(len).map_err(|_| Unfit::Length)
}

fn extension(out: &mut ByteBuf, code: i8, data: &[u8]) -> Result<(), Unfit> {
    sure(encode::write_ext_meta(out, length(data.len())?, code));
    out.as_mut_vec().extend_from_slice(data);
    Ok(())
}

fn write(out: &mut ByteBuf, value: &Value, depth: usize) -> Result<(), Unfit> {
    let deeper = || depth.checked_sub(1).ok_or(Unfit::Depth);
    match value {
        Value::None => sure(encode::write_nil(out)),
        Value::Bool(flag) => sure(encode::write_bool(out, *flag)),
        Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(signed), _) => sure(encode::write_sint(out, signed)),
            (_, Ok(unsigned)) => sure(encode::write_uint(out, unsigned)),
            _ => return Err(Unfit::Integer),
        },
        Value::Float(number) => sure(encode::write_f64(out, *number)),
        Value::Str(text) => {
            sure(encode::write_str_len(out, length(text.len())?));
            out.as_mut_vec().extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            sure(encode::write_bin_len(out, length(bytes.len())?));
            out.as_mut_vec().extend_from_slice(bytes);
        }
        Value::List(items) => {
            let depth = deeper()?;
            sure(encode::write_array_len(out, length(items.len())?));
            items.iter().try_for_each(|item| write(out, item, depth))?;
        }
        Value::Dict(entries) => {
            let depth = deeper()?;
            sure(encode::write_map_len(out, length(entries.len())?));
            for (key, value) in entries {
                if !key.is_key() {
                    return Err(Unfit::Key);
                }
                write(out, key, depth)?;
                write(out, value, depth)?;
            }
        }
        Value::Datetime(moment) => extension(out, EXT_DATETIME, moment.to_string().as_bytes())?,
        Value::Uuid(uuid) => extension(out, EXT_UUID, uuid)?,
        Value::BytesMessage(format, data) => extension(out, EXT_BYTES_MESSAGE, &formatted(*format, data))?,
        Value::Typed(type_id, value) => {
            let mut inner = ByteBuf::from_vec(type_id.to_be_bytes().to_vec());
            write(&mut inner, value, deeper()?)?;
            extension(out, EXT_TYPED, inner.as_slice())?;
        }
    }
    Ok(())
}

/// One value and nothing after it. A float alone is one of 64 bits.
fn whole(mut bytes: &[u8], float: bool) -> Option<Value> {
    if float && bytes.len() != 9 {
        return None;
    }
    let value = read(&mut bytes, PAYLOAD_DEPTH)?;
    bytes.is_empty().then_some(value)
}

fn moment(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().and_then(Moment::parse).map(Value::Datetime)
}

fn uuid(bytes: &[u8]) -> Option<Value> {
    bytes.try_into().ok().map(Value::Uuid)
}

fn bytes_message(bytes: &[u8]) -> Option<Value> {
    let (format, data) = bytes.split_first_chunk()?;
    Some(Value::BytesMessage(u16::from_le_bytes(*format), data.to_vec()))
}

/// So many bytes, if they are there.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// A number of so many bytes, up to eight.
fn number(bytes: &mut &[u8], width: usize) -> Option<u64> {
    Some(take(bytes, width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A length of so many bytes, of what has to be there.
fn count(bytes: &mut &[u8], width: usize) -> Option<usize> {
    usize::try_from(number(bytes, width)?).ok().filter(|len| *len <= bytes.len())
}

fn read(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    match decode::read_marker(bytes).ok()? {
        Marker::Null => Some(Value::None),
        Marker::True => Some(Value::Bool(true)),
        Marker::False => Some(Value::Bool(false)),
        Marker::FixPos(small) => Some(Value::Int(small.into())),
        Marker::FixNeg(small) => Some(Value::Int(small.into())),
        Marker::U8 => Some(Value::Int(number(bytes, 1)?.into())),
        Marker::U16 => Some(Value::Int(number(bytes, 2)?.into())),
        Marker::U32 => Some(Value::Int(number(bytes, 4)?.into())),
        Marker::U64 => Some(Value::Int(number(bytes, 8)?.into())),
        Marker::I8 => Some(Value::Int((number(bytes, 1)? as i8).into())),
        Marker::I16 => Some(Value::Int((number(bytes, 2)? as i16).into())),
        Marker::I32 => Some(Value::Int((number(bytes, 4)? as i32).into())),
        Marker::I64 => Some(Value::Int((number(bytes, 8)? as i64).into())),
        Marker::F32 => Some(Value::Float(f32::from_bits(number(bytes, 4)? as u32).into())),
        Marker::F64 => Some(Value::Float(f64::from_bits(number(bytes, 8)?))),
        Marker::FixStr(len) => text(take(bytes, len.into())?),
        Marker::Str8 => count(bytes, 1).and_then(|len| text(take(bytes, len)?)),
        Marker::Str16 => count(bytes, 2).and_then(|len| text(take(bytes, len)?)),
        Marker::Str32 => count(bytes, 4).and_then(|len| text(take(bytes, len)?)),
        Marker::Bin8 => count(bytes, 1).and_then(|len| Some(Value::Bytes(take(bytes, len)?.to_vec()))),
        Marker::Bin16 => count(bytes, 2).and_then(|len| Some(Value::Bytes(take(bytes, len)?.to_vec()))),
        Marker::Bin32 => count(bytes, 4).and_then(|len| Some(Value::Bytes(take(bytes, len)?.to_vec()))),
        Marker::FixArray(len) => list(bytes, len.into(), depth),
        Marker::Array16 => count(bytes, 2).and_then(|len| list(bytes, len, depth)),
        Marker::Array32 => count(bytes, 4).and_then(|len| list(bytes, len, depth)),
        Marker::FixMap(len) => dict(bytes, len.into(), depth),
        Marker::Map16 => count(bytes, 2).and_then(|len| dict(bytes, len, depth)),
        Marker::Map32 => count(bytes, 4).and_then(|len| dict(bytes, len, depth)),
        Marker::FixExt1 => extended(bytes, 1, depth),
        Marker::FixExt2 => extended(bytes, 2, depth),
        Marker::FixExt4 => extended(bytes, 4, depth),
        Marker::FixExt8 => extended(bytes, 8, depth),
        Marker::FixExt16 => extended(bytes, 16, depth),
        Marker::Ext8 => count(bytes, 1).and_then(|len| extended(bytes, len, depth)),
        Marker::Ext16 => count(bytes, 2).and_then(|len| extended(bytes, len, depth)),
        Marker::Ext32 => count(bytes, 4).and_then(|len| extended(bytes, len, depth)),
        Marker::Reserved => None,
    }
}

fn text(bytes: &[u8]) -> Option<Value> {
    String::from_utf8(bytes.to_vec()).ok().map(Value::Str)
}

// An item takes a byte at least, and `count` has seen that so many are there. Room is made for what is read, as it is read.
fn list(bytes: &mut &[u8], len: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut items = Vec::new();
    for _ in 0..len {
        items.push(read(bytes, depth)?);
    }
    Some(Value::List(items))
}

fn dict(bytes: &mut &[u8], len: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut entries = Vec::new();
    for _ in 0..len {
        let key = read(bytes, depth).filter(Value::is_key)?;
        entries.push((key, read(bytes, depth)?));
    }
    Some(Value::Dict(entries))
}

fn extended(bytes: &mut &[u8], len: usize, depth: usize) -> Option<Value> {
    let code = number(bytes, 1)? as i8;
    let data = take(bytes, len)?;
    match code {
        EXT_UUID => uuid(data),
        EXT_DATETIME => moment(data),
        EXT_BYTES_MESSAGE => bytes_message(data),
        EXT_TYPED => {
            let (type_id, mut inner) = data.split_first_chunk()?;
            let value = read(&mut inner, depth.checked_sub(1)?)?;
            let typed = Value::Typed(Type::from_be_bytes(*type_id), Box::new(value));
            inner.is_empty().then_some(typed)
        }
        _ => None,
    }
}
