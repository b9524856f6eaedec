//! The library for C and C++: `libipmb.so`, `libipmb.a`, and the header `ipmb_ffi.h`, which is made of this source.
//!
//! Read it from the floor upwards; each module uses only those above it in this list.
//!
//! | module | what it is about |
//! |---|---|
//! | [`error`] | codes, and the last one of each thread |
//! | `boundary` | the only place that follows a caller's pointer; no panic leaves it |
//! | [`last_error`] | what went wrong, for the caller |
//! | [`text`] | text for the caller, and the version |
//! | [`label`] | labels and expressions over them |
//! | [`region`] | memory that processes share |
//! | [`registry`] | memory that is used again |
//! | [`message`] | messages that are made, sent and received |
//! | [`attachment`] | what a message carries beside its bytes |
//! | [`origin`] | who sent a message, and how it came |
//! | [`endpoint`] | joining, sending, receiving |
//! | [`request`] | asking and replying |
//! | [`stats`] | what was counted |
//!
//! A handle is a pointer to a box of ours that begins with a mark of its kind, so that a handle of another kind is an error and
//! no crash. Who may use a handle in which thread stands with each function.

pub mod attachment;
mod boundary;
pub mod endpoint;
pub mod error;
pub mod label;
pub mod last_error;
pub mod message;
pub mod origin;
pub mod region;
pub mod registry;
pub mod request;
pub mod stats;
pub mod text;
