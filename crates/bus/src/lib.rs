//! The bus.
#![forbid(unsafe_code)]
