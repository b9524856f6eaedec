//! Processes that are followed by ptrace, and killed or troubled at a given place of what they do.
//!
//! A test program of this kind starts itself again as its victims, so that these are new processes with nothing of its own
//! open, and run the code that is tested and next to nothing else. From the floor upwards:
//!
//! | module | what it is about |
//! |---|---|
//! | [`speech`] | numbered messages whose loss, doubling, damage or misrouting shows |
//! | [`script`] | what a victim does, word by word |
//! | [`process`] | a victim as its parent sees it |
//! | [`tracer`] | one of its threads, instruction by instruction |
//! | [`leaks`] | what this process has open and mapped |
//! | [`trial`] | counts, seeds and figures as the torture frame wants them |
//! | [`workers`] | a process for each processor, to work places off |

#![allow(dead_code, reason = "each program uses its own part")]

pub(crate) mod leaks;
pub(crate) mod process;
pub(crate) mod script;
pub(crate) mod speech;
pub(crate) mod tracer;
pub(crate) mod trial;
pub(crate) mod workers;
