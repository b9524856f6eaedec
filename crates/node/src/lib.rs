//! The native half of the npm package `ipmb-js`: thin faces of the core's handles, which try and never wait.
//!
//! What programs see (classes, promises, payloads, errors) is TypeScript, in `face/`; its types of this half are made from the
//! signatures here. From the bottom up: `failure`, errors with the name of their class; `event_loop`, the one libuv handle of an
//! environment, and `external`, shared memory as an `ArrayBuffer`, which hold all the unsafe code; `label_op`; `object`, `region`
//! and `luggage`, what travels beside a payload; `message`, one that came; `sender`; `receiver`; `requests`; `endpoint`; `hub`,
//! which tells JavaScript what of all that may be tried again.
//!
//! Nothing of JavaScript is called or allocated while the core holds a lock: a collection may run finalizers that take it. So
//! a message is first copied out of its ring, and its values are made afterwards.
#![deny(unsafe_code)]

mod endpoint;
#[allow(unsafe_code)]
mod event_loop;
#[allow(unsafe_code)]
mod external;
mod failure;
mod hub;
mod label_op;
mod luggage;
mod message;
mod object;
mod receiver;
mod region;
mod requests;
mod sender;
