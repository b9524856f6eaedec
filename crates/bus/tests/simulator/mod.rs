//! The bus in a made-up world, thousands of times, each time another one.
//!
//! A seed decides everything: who joins, leaves, is stopped or lies, who sends what to whom and for how long it waits, which
//! connection or channel is read next, for which packets there is no room, how the clock jumps, who dies and before which of
//! its stores, and who takes over.
//! What runs in it is the production code: the controller, the directory's memory, the areas in which messages wait,
//! what becomes of those that wait or were left unread, heritage, succession, who may speak in whose name, second copies.
//! Made up are processes, sockets, rings and the clock (`world.rs`, `network.rs`). A process may die between any two of its
//! stores (`mortal.rs`); of the directory there is a look while it is written.
//!
//! After every event `audit.rs` checks what the controller has to keep to, and `ledger.rs` where every message is: none that
//! was promised vanishes but by a counter, the clock, or the window that ARCHITECTURE.md names; none comes twice to those
//! who live, to the wrong one, in the wrong name or out of order. At the end of a run the world comes to rest, and then the
//! directory lists exactly those who are alive, every watcher knows the last epoch, nothing waits that somebody matches, and
//! nothing is due any more. A failing run prints its seed; `IPMB_CASE=n` runs that one alone and says what happens in it,
//! `IPMB_COUNT=n` sets how many there are, `IPMB_SEED=n` with which they begin. It is compiled into the crate's own tests, for
//! what it runs is private.
//!
//! What it proves was tried by breaking the code, one rule at a time. Each of these makes it fail within the 2000
//! seeds: welcoming before committing; nudging before welcoming; committing for nothing, or a change not at all; an epoch
//! that stays; a takeover that keeps the term, or starts from nothing; not outbidding a term somebody has seen; admitting
//! without a look at the user, the token, or who holds the id; a lobby without bound or time; an end, a leave, a refusal or
//! a replacement that leaves the member or the connection in place; a heritage nobody takes over; tombstones that go early,
//! never, or not when their owner comes back; not looking for those who have not registered again, not believing that they
//! are gone, looking without a pause, or looking for those who have; a nudge whose answer is not noted, or that is not
//! marked as outstanding; not nudging again one who was behind when it answered; leaving out some nudges; a nudge, its
//! answer or a wish for nudges that counts as told although there was no room for it. Of messages:
//! a heritage that is never taken over, or taken over twice; a takeover by one who
//! missed a controller, who uses what it has of an earlier one; members that ask with the term of their welcome.

mod attacks;
mod audit;
mod client;
mod events;
mod host;
mod ledger;
mod mortal;
mod network;
mod post;
mod reading;
mod rest;
mod rng;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use audit::Tally;
use events::{Nature, post, step};
use ledger::Step;
use rest::{at_rest, come_to_rest};
use world::World;

const STEPS: usize = 400;
const QUIET: usize = 150;

#[test]
fn the_bus_keeps_its_promises_in_every_world() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match number("IPMB_CASE") {
        Some(seed) => println!("{:#?}", run(seed, true)),
        None => run_all(number("IPMB_SEED").unwrap_or(0), number("IPMB_COUNT").unwrap_or(2000)),
    }
}

/// Runs so many worlds from a seed on, on all cores.
fn run_all(first: u64, count: u64) {
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::new()));
    let tells = std::env::var_os("IPMB_PROGRESS").is_some();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || tally.is_poisoned() {
                return;
            }
            // Whoever fails poisons the tally, and the others stop.
            let happened = std::panic::catch_unwind(|| run(first.wrapping_add(number), false));
            let mut tally = tally.lock().expect("another world has failed");
            let happened = happened.unwrap_or_else(|why| std::panic::resume_unwind(why));
            happened.into_iter().for_each(|(what, times)| *tally.entry(what).or_default() += times);
            if tells && number.is_multiple_of(500) {
                println!("progress {number} {count}");
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let tally = tally.into_inner().expect("a world has failed");
    if tells {
        println!("progress {count} {count}");
        tally.iter().for_each(|(what, times)| println!("figure {what} = {times}"));
    }
    // With fewer worlds something rare may be missing by chance.
    for what in HAPPENS.iter().filter(|_| count >= 1000) {
        assert!(tally.contains_key(*what), "in none of {count} worlds: {what}");
    }
}

/// What the worlds are made for. One in which it never happens tests nothing.
const HAPPENS: [&str; 27] = [
    "parked",
    "got",
    "got in a dead sender's name",
    "redelivered",
    "expired",
    "recalled by a joiner",
    "new buses",
    "takeovers",
    "terms raised",
    "confirmed after a takeover",
    "connections replaced",
    "departed who came back",
    "departed: Left",
    "departed: Died",
    "departed: Expelled",
    "departed: Vanished",
    "nudges",
    "nudges sent again",
    "words without room",
    "frames without room",
    "refused: IdInUse",
    "refused: Malformed",
    "refused: Permission",
    "refused: Token",
    "strangers pushed out",
    "strangers timed out",
    "tombstones expired",
];

/// Says which seed it was when a run fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("case {}", self.0);
            eprintln!("this was seed {0}: run it alone with IPMB_CASE={0}", self.0);
        }
    }
}

fn run(seed: u64, talks: bool) -> Tally {
    let _seed = Seed(seed);
    let mut world = World::new(seed, talks);
    // Worlds differ in what happens often in them.
    let nature = Nature {
        deaths: [0, 1, 1, 3, 8][world.rng.below(5)],
        attacks: [0, 1, 4, 10][world.rng.below(4)],
        messages: [2, 10, 25, 50][world.rng.below(4)],
        jumps: [1, 8, 15][world.rng.below(3)],
    };
    world.scarce = [0, 0, 3, 30][world.rng.below(4)];
    for _ in 0..2 + world.rng.below(4) {
        world.spawn();
    }
    // A while in which nothing goes wrong, so that most have met.
    for _ in 0..world.rng.below(QUIET) {
        step(&mut world, &Nature { deaths: 0, attacks: 0, messages: 0, jumps: 3 });
        world.audit_messages(Step::Other);
    }
    for _ in 0..STEPS {
        let what = if world.rng.below(100) < nature.messages { post(&mut world) } else { step(&mut world, &nature) };
        let deaths = world.bury_the_dead();
        world.audit_messages(if deaths { Step::Death } else { what });
    }
    come_to_rest(&mut world);
    at_rest(&mut world);
    world.audit.tally
}
