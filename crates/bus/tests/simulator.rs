//! The controller in a made-up world, thousands of times, each time another one.
//!
//! A seed decides everything: who joins, leaves, dies, is stopped or lies, which connection is read next, how the clock
//! jumps, and when the controller's process dies and who takes over. After every event `simulator/audit.rs` checks what has
//! to be true at all times; at the end of a run the world comes to rest, and then the directory has to list exactly those
//! who are alive, every watcher has to know the last epoch, and nothing may be due any more. A failing run prints its seed;
//! `IPMB_SEED=n` runs that one alone, `IPMB_SEEDS=n` sets how many there are.
//!
//! What it proves was tried by breaking the controller, one rule at a time. Each of these makes it fail within the 2000
//! seeds: welcoming before committing; nudging before welcoming; committing for nothing, or a change not at all; an epoch
//! that stays; a takeover that keeps the term, or starts from nothing; not outbidding a term somebody has seen; admitting
//! without a look at the user, the token, or who holds the id; a lobby without bound or time; an end, a leave, a refusal or
//! a replacement that leaves the member or the connection in place; a heritage nobody takes over; tombstones that go early,
//! never, or not when their owner comes back; not looking for those who have not registered again, not believing that they
//! are gone, looking without a pause, or looking for those who have; a nudge whose answer is not noted, or that is not
//! marked as outstanding; not nudging again one who was behind when it answered; leaving out some nudges.

#[path = "simulator/audit.rs"]
mod audit;
#[path = "simulator/rng.rs"]
mod rng;
#[path = "simulator/world.rs"]
mod world;

use ipmb_bus::controller::{Action, ConnId, Event};
use ipmb_bus::label::Label;
use ipmb_bus::limits;
use ipmb_bus::proof::{self, Key};
use ipmb_bus::wire::{ClientFrame, JoinRequest, Refusal, ServerFrame};

use audit::Tally;
use world::{MILLI, ToServer, UID, World, nonce_of};

const STEPS: usize = 400;

#[test]
fn the_controller_keeps_its_promises_in_every_world() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match number("IPMB_SEED") {
        Some(seed) => println!("{:#?}", run(seed)),
        None => run_all(number("IPMB_SEEDS").unwrap_or(2000)),
    }
}

fn run_all(seeds: u64) {
    let mut tally = Tally::new();
    for (what, count) in (0..seeds).flat_map(run) {
        *tally.entry(what).or_default() += count;
    }
    println!("{tally:#?}");
    // With fewer worlds something rare may be missing by chance.
    for what in HAPPENS.iter().filter(|_| seeds >= 1000) {
        assert!(tally.contains_key(*what), "in none of {seeds} worlds: {what}");
    }
}

/// What the worlds are made for. One in which it never happens tests nothing.
const HAPPENS: [&str; 18] = [
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
            eprintln!("this was seed {0}: run it alone with IPMB_SEED={0}", self.0);
        }
    }
}

fn run(seed: u64) -> Tally {
    let _seed = Seed(seed);
    let mut world = World::new(seed);
    // Worlds differ in what happens often in them.
    let deaths = [0, 1, 1, 3, 8][world.rng.below(5)];
    let attacks = [0, 1, 4, 10][world.rng.below(4)];
    for _ in 0..2 + world.rng.below(4) {
        world.spawn();
    }
    for _ in 0..STEPS {
        step(&mut world, deaths, attacks);
    }
    come_to_rest(&mut world);
    at_rest(&mut world);
    world.audit.tally
}

/// One thing happens somewhere.
fn step(world: &mut World, deaths: usize, attacks: usize) {
    let end = world.rng.below(world.ends.len());
    let running = world.ends[end].running();
    match world.rng.below(100) {
        0..30 => {
            for _ in 0..1 + world.rng.below(4) {
                let conns = with_mail_for_server(world);
                world.rng.pick(&conns).into_iter().for_each(|conn| world.deliver_to_server(conn));
            }
        }
        30..56 => {
            for _ in 0..1 + world.rng.below(4) {
                let conns = with_mail_for_client(world);
                world.rng.pick(&conns).into_iter().for_each(|conn| world.deliver_to_client(conn));
            }
        }
        56..66 if world.host_running() => world.accept(),
        66..74 => {
            // Endpoints without a connection are quick to look for one.
            for end in 0..world.ends.len() {
                if world.ends[end].running() && world.ends[end].wanted && world.rng.chance(50) {
                    world.register(end);
                }
            }
        }
        74..78 => {
            let able = (0..world.ends.len()).filter(|end| world.ends[*end].conn.is_none()).collect::<Vec<_>>();
            world.rng.pick(&able).into_iter().for_each(|end| world.take_over(end));
        }
        78..81 if world.ends.len() < 20 => drop(world.spawn()),
        81 if running && world.rng.chance(30) => leave(world, end),
        82..85 if running => change_mind(world, end),
        85 if running => world.disconnect(end),
        86 if running && world.rng.chance(20) && world.ends[end].welcomed => {
            world.ends[end].lying = true;
            world.send(end, ClientFrame::Hello { id: 1, nonce: [0; 32] });
        }
        87..89 => {
            let pid = world.ends[end].pid;
            let stopped = world.rng.chance(30);
            world.ends.iter_mut().filter(|end| end.pid == pid).for_each(|end| end.stopped = stopped);
        }
        89..92 => {
            let jump = [1, 1, 1, 5, 5, 20, 20, 100, 100, 150, 300, 1000, 30_000, 61_000, 86_400_000];
            world.now += jump[world.rng.below(jump.len())] * MILLI;
            tick(world);
        }
        92..95 if world.host_running() && !world.probes.is_empty() => {
            let place = world.rng.below(world.probes.len());
            world.answer_probe(place);
        }
        95..98 if world.rng.below(10) < attacks => attack(world),
        98.. if world.rng.below(10) < deaths => {
            // Every second time it is the controller.
            let host = world.host.as_ref().map(|host| host.end).filter(|_| world.rng.chance(50));
            let pid = world.ends[host.unwrap_or(end)].pid;
            world.kill(pid);
        }
        _ => {}
    }
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

fn leave(world: &mut World, end: usize) {
    world.ends[end].wanted = false;
    if world.ends[end].welcomed {
        world.send(end, ClientFrame::Leave)
    } else {
        world.disconnect(end)
    }
    world.retire();
}

fn change_mind(world: &mut World, end: usize) {
    let me = &mut world.ends[end];
    let welcomed = me.welcomed;
    let frame = if me.id.is_multiple_of(2) {
        me.watching = !me.watching;
        ClientFrame::Watch(me.watching)
    } else {
        me.receiving = !me.receiving;
        ClientFrame::Receiving(me.receiving)
    };
    if welcomed {
        world.send(end, frame);
    }
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
            let host = world.host.as_ref().map(|host| host.board.borrow().clone());
            let ids: Vec<_> = host.iter().flat_map(|board| board.entries.iter().map(|entry| entry.id)).collect();
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
            if world.host.is_none() {
                return;
            }
        } else if !world.backlog.is_empty() {
            world.accept();
        } else if let Some(end) = unregistered {
            world.register(end);
        } else if !world.probes.is_empty() {
            world.answer_probe(0);
        } else if let Some(deadline) = world.host.as_ref().and_then(|host| host.controller.deadline()) {
            world.now = deadline;
            tick(world);
        } else {
            return;
        }
    }
    panic!("the world does not come to rest");
}

/// What has to be true when nothing happens any more.
fn at_rest(world: &mut World) {
    let Some(host) = &world.host else {
        let able = world.ends.iter().any(|end| end.alive && end.wanted && end.affinity);
        assert!(!able, "somebody could play controller and does not");
        return;
    };
    let directory = host.board.borrow().clone();
    let mut alive: Vec<_> = world.ends.iter().filter(|end| end.alive && end.wanted).collect();
    alive.sort_by_key(|end| end.id);
    let ids = |entries: &[ipmb_bus::directory::Entry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
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
    // An idle bus stays idle, however much time passes.
    world.now += 3_600_000 * MILLI;
    assert_eq!(world.handle(Event::Tick), []);
}
