//! What the bindings have in common, whatever their language: what a Rust program does not need, and Python, C and Node do.
//!
//! Read it from the floor upwards; each module uses only those above it in this list.
//!
//! | module | what it is about |
//! |---|---|
//! | [`types`] | under which UUIDs payloads travel |
//! | [`moment`] | a point in time, as it travels |
//! | [`value`] | the built-in payloads as values of Rust |
//! | [`failure`] | every error, by the name that all languages know it by |
//! | [`to`] | where a message goes, and its route |
//! | [`refusal`] | telling an asker that nobody will reply |
//! | [`letter`] | a message on its way out, with all that it carries |
//! | [`sending`] | one that waits for room without a thread |
//! | [`arrival`] | a message that came, taken out of its ring |
//! | [`requests`] | requests of many threads, or of an event loop |
//! | [`registry`] | pools of regions whose users are told when one is free again |
#![forbid(unsafe_code)]

pub mod arrival;
pub mod failure;
pub mod letter;
pub mod moment;
pub mod refusal;
pub mod registry;
pub mod requests;
pub mod sending;
pub mod to;
pub mod types;
pub mod value;
