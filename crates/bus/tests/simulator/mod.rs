//! The bus in a made-up world, thousands of times, each time another one.
//!
//! A seed decides everything: who joins, leaves, is stopped or lies, who sends what to whom and for how long it waits, which
//! connection or channel is read next, how the clock jumps, who dies and before which of its stores, and who takes over.
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
//! marked as outstanding; not nudging again one who was behind when it answered; leaving out some nudges. Of messages:
//! a heritage that is never taken over, or taken over twice; a takeover by one who
//! missed a controller, who uses what it has of an earlier one; members that ask with the term of their welcome.

mod audit;
mod host;
mod ledger;
mod mortal;
mod network;
mod post;
mod rng;
mod world;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use audit::Tally;
use ledger::Step;
use post::{Read, Sent};
use world::{ELEMENTS, MILLI, ToServer, UID, World, nonce_of};

use crate::controller::{Action, ConnId, Event};
use crate::label::Label;
use crate::label_op::LabelOp;
use crate::limits;
use crate::proof::{self, Key};
use crate::selector::{Selector, Ttl};
use crate::wire::{ClientFrame, JoinRequest, Refusal, ServerFrame};

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
const HAPPENS: [&str; 24] = [
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

/// How often what happens in one world.
struct Nature {
    deaths: usize,
    attacks: usize,
    messages: usize,
    jumps: usize,
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

/// One thing happens somewhere.
fn step(world: &mut World, nature: &Nature) -> Step {
    let end = world.rng.below(world.ends.len());
    let running = world.ends[end].running();
    // Whoever plays controller never loses the connection to itself.
    let hosts = world.host.as_ref().is_some_and(|host| host.end == end);
    match world.rng.below(100) {
        0..26 => {
            for _ in 0..1 + world.rng.below(4) {
                let conns = with_mail_for_server(world);
                world.rng.pick(&conns).into_iter().for_each(|conn| world.deliver_to_server(conn));
            }
        }
        26..52 => {
            for _ in 0..1 + world.rng.below(4) {
                let conns = with_mail_for_client(world);
                world.rng.pick(&conns).into_iter().for_each(|conn| world.deliver_to_client(conn));
            }
        }
        52..62 if world.host_running() => world.accept(),
        62..70 => {
            // Endpoints without a connection are quick to look for one.
            for end in 0..world.ends.len() {
                if world.ends[end].running() && world.ends[end].wanted && world.rng.chance(50) {
                    world.register(end);
                }
            }
        }
        70..74 => {
            let able = (0..world.ends.len()).filter(|end| world.ends[*end].conn.is_none()).collect::<Vec<_>>();
            world.rng.pick(&able).into_iter().for_each(|end| world.take_over(end));
        }
        74..77 if world.ends.len() < 20 => world.spawn(),
        77 if running && nature.deaths > 0 && world.ends[end].wanted && world.rng.chance(30) => {
            return leave(world, end);
        }
        78..80 if running => {
            world.ends[end].watching = !world.ends[end].watching;
            world.tell_interest(end);
        }
        80 if running && nature.deaths > 0 && world.ends[end].receiving && world.rng.chance(30) => {
            return close_receiver(world, end);
        }
        81 if running && nature.deaths > 0 && !hosts => world.disconnect(end),
        82 if running && nature.deaths > 0 && !hosts && world.rng.chance(20) && world.ends[end].welcomed => {
            world.ends[end].lying = true;
            world.send(end, ClientFrame::Hello { id: 1, nonce: [0; 32] });
        }
        83..85 if nature.deaths > 0 => {
            let pid = world.ends[end].pid;
            let stopped = world.rng.chance(30);
            world.ends.iter_mut().filter(|end| end.pid == pid).for_each(|end| end.stopped = stopped);
        }
        85..88 => {
            let jumps = [1, 1, 1, 5, 5, 20, 20, 100, 100, 150, 300, 1000, 30_000, 61_000, 86_400_000];
            let jump = jumps[world.rng.below(nature.jumps)];
            world.pass(jump * MILLI);
            tick(world);
        }
        88..91 if world.host_running() && !world.probes.is_empty() => {
            let place = world.rng.below(world.probes.len());
            world.answer_probe(place);
        }
        91..94 if world.rng.below(10) < nature.attacks => attack(world),
        94..97 => return look_after(world, end),
        97.. if world.rng.below(10) < nature.deaths => {
            // Often it is the controller, or somebody whose messages wait; mostly it dies in the middle of something.
            let host = world.host.as_ref().map(|host| host.end).filter(|_| world.rng.chance(40));
            let waits = (0..world.ends.len()).filter(|&end| world.ends[end].post.interested()).collect::<Vec<_>>();
            let sender = world.rng.pick(&waits).filter(|_| world.rng.chance(60));
            let end = host.or(sender).unwrap_or(end);
            if world.rng.chance(70) {
                let most = [4, 12, 80][world.rng.below(3)];
                let steps = 1 + world.rng.below(most) as u64;
                world.ends[end].fuse.light(steps);
            } else {
                world.kill(world.ends[end].pid);
                return Step::Death;
            }
        }
        _ => {}
    }
    Step::Other
}

/// Somebody sends, or reads what was sent.
fn post(world: &mut World) -> Step {
    let end = world.rng.below(world.ends.len());
    let me = &world.ends[end];
    if !me.running() || !me.wanted || me.board.is_none() {
        return Step::Other;
    }
    if world.rng.chance(40) && world.ledger.pending() < 24 {
        send(world, end);
    } else if world.rng.chance(50) {
        return look_after(world, end);
    } else {
        for _ in 0..1 + world.rng.below(4) {
            let step = receive(world, end);
            if step != Step::Other {
                return step;
            }
        }
    }
    Step::Other
}

fn send(world: &mut World, end: usize) {
    let op = match world.rng.below(8) {
        0 => LabelOp::constant(true),
        _ => LabelOp::leaf(ELEMENTS[world.rng.below(ELEMENTS.len())]).expect("a leaf"),
    };
    let selector = if world.rng.chance(75) { Selector::unicast(op) } else { Selector::multicast(op) };
    let ttl = [0, 1, 50, 2000, 60_000][world.rng.below(5)];
    let ttl = if world.rng.chance(60) { Ttl::FOREVER } else { Ttl::from_nanos(ttl * MILLI) };
    let selector = Arc::new(selector.with_ttl(ttl));
    let number = world.ledger.next();
    world.ledger.sent(world.ends[end].id, &selector, false);
    let sent = world.ends[end].post.send(&selector, number);
    world.say(|| format!("{} sends {number} to {:?}: {sent:?}", world.ends[end].id, selector.op));
    if !world.ends[end].fuse.is_out() {
        match sent {
            Sent::Refused => world.ledger.refused(),
            Sent::Pushed(_) | Sent::Waits => world.ledger.promise(),
        }
        if sent == Sent::Waits {
            world.audit.count("parked");
        }
    }
    world.tell_interest(end);
}

fn receive(world: &mut World, end: usize) -> Step {
    let readable = world.network.borrow().readable(world.ends[end].id);
    let Some(place) = world.rng.pick(&readable) else { return Step::Other };
    match world.ends[end].post.receive(place) {
        Read::Got(got) => world.got(end, &got),
        Read::Again => world.audit.count("second copies dropped"),
        Read::Refused => {
            world.refused_channel(place);
            return Step::Leaving(world.ends[end].id);
        }
        Read::Nothing => {}
    }
    Step::Other
}

/// The core thread of an endpoint does what is due: hears of ends, looks at its timer or at the directory.
fn look_after(world: &mut World, end: usize) -> Step {
    let now = world.now();
    if world.ends[end].running() && world.ends[end].wanted {
        let lost = world.ends[end].post.lost_links();
        if let Some(id) = world.rng.pick(&lost) {
            world.ends[end].post.hangup(id);
        } else if world.ends[end].post.timer.is_some_and(|due| due <= now) {
            world.ends[end].post.tick();
        }
        world.tell_interest(end);
    }
    Step::Other
}

fn tick(world: &mut World) {
    if world.host_running() {
        world.handle(Event::Tick);
    }
}

fn with_mail_for_server(world: &World) -> Vec<ConnId> {
    if !world.host_running() {
        return Vec::new();
    }
    // Ends of connections that the controller has closed itself may come, too, and change nothing.
    let waiting =
        world.conns.iter().filter(|(id, conn)| !conn.to_server.is_empty() && !conn.late && !world.backlog.contains(id));
    waiting.map(|(id, _)| *id).collect()
}

fn with_mail_for_client(world: &World) -> Vec<ConnId> {
    let waiting = world.conns.iter().filter(|(_, conn)| {
        let reads = conn.end.is_some_and(|end| world.ends[end].running()) && !conn.dropped;
        reads && !conn.to_client.is_empty()
    });
    waiting.map(|(id, _)| *id).collect()
}

fn leave(world: &mut World, end: usize) -> Step {
    let me = &world.ends[end];
    // What waits is the controller's to deliver, so whoever leaves sees to it that the controller knows, for a second.
    if !me.post.parking.is_empty() && !me.welcomed && world.rng.chance(90) {
        return Step::Other;
    }
    let id = me.id;
    world.leave(end);
    Step::Leaving(id)
}

fn close_receiver(world: &mut World, end: usize) -> Step {
    let id = world.ends[end].id;
    world.ends[end].receiving = false;
    world.network.borrow_mut().stop_reading(id);
    if world.ends[end].welcomed {
        world.send(end, ClientFrame::Receiving(false));
    }
    Step::Leaving(id)
}

/// Somebody who has no business here tries something.
fn attack(world: &mut World) {
    let frame = ClientFrame::Seen { term: u32::MAX, epoch: 1 };
    let hello = || ToServer::Frame(ClientFrame::Hello { id: 5, nonce: [0; 32] });
    match world.rng.below(8) {
        0 => drop(world.connect(None, UID, 5, vec![])),
        1 => drop(world.connect(None, 4444, 5, vec![hello()])),
        2 => drop(world.connect(None, UID, 5, vec![hello(), hello()])),
        3 => drop(world.connect(None, UID, 5, vec![ToServer::Frame(frame), ToServer::Closed])),
        4 => drop(world.connect(None, UID, 5, vec![hello(), ToServer::Garbage(None), ToServer::Garbage(Some(9))])),
        5 if world.rng.chance(20) => {
            for _ in 0..limits::PENDING_JOINS + 20 {
                world.connect(None, UID, 5, vec![]);
            }
        }
        6 => handshake(world, Key::derive("bus", b"wrong"), None, Refusal::Token),
        7 => {
            // It knows the token and is another process than the one whose id it wants.
            let ids = world.audit.members();
            if let Some(id) = world.rng.pick(&ids) {
                handshake(world, world.key.clone(), Some(id), Refusal::IdInUse);
            }
        }
        _ => {}
    }
}

/// A whole handshake of a stranger at once, which has to end in a refusal.
fn handshake(world: &mut World, key: Key, id: Option<u64>, expected: Refusal) {
    if !world.host_running() {
        return;
    }
    let id = id.unwrap_or_else(|| world.ends[0].id);
    let conn = world.connect(None, UID, 5, vec![]);
    world.backlog.retain(|waiting| *waiting != conn);
    world.backlog.push_front(conn);
    world.accept();
    let nonce = [1; 32];
    let actions = world.handle(Event::Frame { conn, frame: ClientFrame::Hello { id, nonce } });
    let Some(Action::Send { frame: ServerFrame::Challenge { nonce: challenge }, .. }) = actions.first() else {
        panic!("no challenge: {actions:?}");
    };
    let proof = proof::joiner_proof(&key, &nonce, challenge, id);
    let (label, last_term) = (Label::default(), u32::MAX);
    let request = JoinRequest { label, nonce: [0; 16], affinity: true, receiving: true, last_term, proof };
    let request = JoinRequest { last_term: if expected == Refusal::Token { last_term } else { 0 }, ..request };
    let actions = world.handle(Event::Frame { conn, frame: ClientFrame::Join(request) });
    assert!(actions.contains(&Action::Send { conn, frame: ServerFrame::Refused(expected) }), "{actions:?}");
}

/// Nobody does anything new, and everything under way arrives.
fn come_to_rest(world: &mut World) {
    world.ends.iter_mut().for_each(|end| end.stopped = false);
    world.ends.iter().for_each(|end| end.fuse.put_out());
    world.conns.values_mut().for_each(|conn| conn.late = false);
    world.retire();
    for _ in 0..100_000 {
        let (to_server, to_client) = (with_mail_for_server(world), with_mail_for_client(world));
        let unregistered = (0..world.ends.len()).find(|end| {
            let end = &world.ends[*end];
            end.running() && end.wanted && end.conn.is_none()
        });
        if let Some(conn) = world.rng.pick(&to_server) {
            world.deliver_to_server(conn);
        } else if let Some(conn) = world.rng.pick(&to_client) {
            world.deliver_to_client(conn);
        } else if world.host.is_none() {
            (0..world.ends.len()).for_each(|end| world.take_over(end));
            let waits = |end: &world::End| end.holds_listener();
            if world.host.is_none() && !world.ends.iter().any(waits) {
                return;
            }
            world.pass(MILLI);
        } else if !world.backlog.is_empty() {
            world.accept();
        } else if let Some(end) = unregistered {
            world.register(end);
        } else if !world.probes.is_empty() {
            world.answer_probe(0);
        } else if messages_move(world) {
            // Somebody has read something, or found out what has become of it.
        } else if let Some(at) = next_deadline(world) {
            world.clock.set(at.max(world.now()));
            tick(world);
            for end in 0..world.ends.len() {
                look_after(world, end);
            }
        } else {
            return;
        }
        let deaths = world.bury_the_dead();
        world.audit_messages(if deaths { Step::Death } else { Step::Other });
    }
    panic!("the world does not come to rest");
}

/// Everybody reads what there is, and hears of ends. Whether anything has happened.
fn messages_move(world: &mut World) -> bool {
    for end in 0..world.ends.len() {
        let (id, running) = (world.ends[end].id, world.ends[end].running() && world.ends[end].wanted);
        if running && let Some(lost) = world.ends[end].post.lost_links().first() {
            world.ends[end].post.hangup(*lost);
            world.tell_interest(end);
            return true;
        }
        let readable = world.network.borrow().readable(id);
        for place in readable {
            let before = world.network.borrow().channels[place].unread.len();
            if !running {
                continue;
            }
            match world.ends[end].post.receive(place) {
                Read::Got(got) => world.got(end, &got),
                Read::Refused => {
                    world.refused_channel(place);
                    world.audit_messages(Step::Leaving(id));
                }
                Read::Again | Read::Nothing => {}
            }
            let network = world.network.borrow();
            if network.channels[place].ended || network.channels[place].unread.len() < before {
                return true;
            }
        }
    }
    false
}

/// When something is due next. Messages that wait for ever have no time.
fn next_deadline(world: &World) -> Option<u64> {
    let host = world.host.iter().flat_map(|host| [host.controller.deadline(), host.look_at]);
    let ends = world.ends.iter().filter(|end| end.running() && end.wanted).map(|end| end.post.timer);
    let network = world.network.borrow();
    let unknown = network.channels.iter().filter(|channel| !channel.ended).map(|channel| channel.unknown_until);
    let unknown = unknown.filter(|until| until.is_some_and(|until| until > world.now()));
    host.chain(ends).chain(unknown).flatten().min()
}

/// What has to be true when nothing happens any more.
fn at_rest(world: &mut World) {
    let Some(host) = &world.host else {
        let able = world.ends.iter().any(|end| end.alive && end.wanted && end.affinity);
        assert!(!able, "somebody could play controller and does not");
        return;
    };
    let directory = host.board.read();
    let mut alive: Vec<_> = world.ends.iter().filter(|end| end.alive && end.wanted).collect();
    alive.sort_by_key(|end| end.id);
    let ids = |entries: &[crate::directory::Entry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(&directory.entries), alive.iter().map(|end| end.id).collect::<Vec<_>>(), "the living and no other");
    for (entry, end) in directory.entries.iter().zip(&alive) {
        assert!(end.welcomed, "it is listed and does not know");
        assert_eq!((entry.pid, entry.uid, &entry.label), (end.pid, UID, &end.label));
        assert_eq!((entry.receiving, entry.nonce), (end.receiving, nonce_of(end.id)));
        assert!(!end.watching || end.read == directory.word(), "a watcher has missed something");
    }
    assert_eq!(host.controller.pending(), 0);
    for (id, conn) in world.conns.iter().filter(|(_, conn)| conn.accepted) {
        let owner = conn.end.map(|end| &world.ends[end]).filter(|end| end.alive && end.wanted);
        assert!(owner.is_some_and(|end| end.conn == Some(*id)), "connection {id} is nobody's and still open");
    }
    world.nothing_waits_in_vain();
    // An idle bus stays idle, however much time passes.
    world.pass(3_600_000 * MILLI);
    assert_eq!(world.handle(Event::Tick), []);
}
