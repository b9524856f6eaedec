//! The protocol of the ring under the loom model checker: the production code of `ring/` on loom's atomics and
//! on memory whose every byte loom watches. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p ipmb-transport --test loom --release --target-dir target/loom`.
//!
//! What each model proves, for all interleavings and all reorderings that the memory model allows (`both_wait` and
//! `grow_while_full`, and the two records of `reading_wait` and `sender_closes`, with at most three preemptions; with
//! `IPMB_LOOM_BOUND=3` all have as many at most, and twice the records):
//! `two_records`: records arrive in order and complete, and no byte of one is read before it is written, also
//! round the end of the ring; `overwrite`: none is overwritten before it is read; `sleep_wake` and `burst`: a
//! consumer never sleeps with a record that nobody rings for; `room_wait`: a producer never waits with room
//! and nobody to wake it; `both_wait`: the two do not get into each other's way, also when the consumer's idea
//! of the head is old; `attach`: records pushed before the consumer's memory came are found or rung for; `grow` and
//! `grow_while_full`: the same holds across a switch into a larger memory, for a consumer that sleeps and for a
//! producer that waits; `reading_wait`: a producer that waits until its records are read hears of it;
//! `sender_closes`, `receiver_closes` and `receiver_closes_while_it_grows`: when one side hangs up, whenever that is, the
//! other one wakes, and each record was either read or is found unread, never both.
//!
//! They can fail. Tried by hand: without the fence in `Word::publish` all but the first two deadlock; without
//! the one in `Consumer::sleep` `sleep_wake`, `burst`, `both_wait` and `attach` do; without the one in
//! `announce_wait` `room_wait` and `both_wait` do; if the consumer does not look at the room word where it
//! catches up with the head, `both_wait` does; with a relaxed load of the head or the tail, or a relaxed
//! store of the tail, loom reports bytes that are read while they are written; without the fence in
//! `announce_reading` `reading_wait` deadlocks; if the receiver looks into the ring before it looks for the end,
//! `sender_closes` loses a record.

#![cfg(loom)]

mod close;
mod growth;
mod line;
mod records;
mod sides;
mod sleep;
