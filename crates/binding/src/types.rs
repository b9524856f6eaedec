//! The UUIDs under which payloads travel, in one table for all languages; `docs/payloads.md` shows it.

/// The type of a payload, as a number: the big-endian value of its UUID.
pub type Type = u128;

const fn builtin(number: u128) -> Type {
    // 69706d62 is "ipmb"; version 8 of a UUID is for private meanings.
    0x69706d62_0000_8000_8000_000000000000 | number
}

/// Nothing: MessagePack nil. It is the first of the table.
pub const NONE: Type = builtin(1);
/// A truth value, in MessagePack.
pub const BOOL: Type = builtin(2);
/// An integer from -2^63 to 2^64-1, in MessagePack.
pub const INT: Type = builtin(3);
/// A float of 64 bits, in MessagePack.
pub const FLOAT: Type = builtin(4);
/// Text in UTF-8, as it is.
pub const STR: Type = builtin(5);
/// Bytes, as they are.
pub const BYTES: Type = builtin(6);
/// An array, in MessagePack.
pub const LIST: Type = builtin(7);
/// A map, in MessagePack.
pub const DICT: Type = builtin(8);
/// A point in time, as text in ISO 8601.
pub const DATETIME: Type = builtin(9);
/// The 16 bytes of a UUID.
pub const UUID: Type = builtin(10);
/// A format, two bytes in little endian, and data.
pub const BYTES_MESSAGE: Type = builtin(11);
/// A buffer of [`VIEW_BYTES`] or more that is looked at where it is, in shared memory.
pub const VIEW: Type = builtin(12);
/// The last of the table.
pub const LAST: Type = builtin(17);

/// What Python calls them.
pub const TABLE: [(&str, Type); 17] = [
    ("None", NONE),
    ("bool", BOOL),
    ("int", INT),
    ("float", FLOAT),
    ("str", STR),
    ("bytes", BYTES),
    ("list", LIST),
    ("dict", DICT),
    ("datetime", DATETIME),
    ("UUID", UUID),
    ("BytesMessage", BYTES_MESSAGE),
    ("memoryview", VIEW),
    ("ndarray", builtin(13)),
    ("Table", builtin(14)),
    ("Tensor", builtin(15)),
    ("generic", builtin(16)),
    ("RecordBatch", LAST),
];

/// From this length on a buffer that is no `bytes` arrives as a view of shared memory.
pub const VIEW_BYTES: usize = 64 * 1024;

/// The type under which refusals travel; no payload has it.
pub const REFUSAL: Type = LAST + 1;

/// What a handler's error travels as, from `ipmb/failures.py`: a MessagePack map of `type`, `text` and `traceback`.
pub const FAILURE: Type = 0x8f1d4f0e_6d0a_4d55_9a3b_5a1c8b7e2d90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_numbers_in_their_order() {
        for (place, (name, number)) in TABLE.iter().enumerate() {
            assert_eq!(*number, NONE + place as u128, "{name}");
        }
        assert_eq!(LAST, TABLE[TABLE.len() - 1].1);
        assert_eq!(BYTES_MESSAGE.to_be_bytes(), *b"ipmb\0\0\x80\0\x80\0\0\0\0\0\0\x0b");
    }
}
