//! The end of a run: nobody does anything new, everything under way arrives, and then nothing may be missing.

use super::events::{look_after, tick, with_mail_for_client, with_mail_for_server};
use super::ledger::Step;
use super::reading::Read;
use super::world::{End, MILLI, UID, World, nonce_of};
use crate::controller::Event;

/// Nobody does anything new, and everything under way arrives.
pub(crate) fn come_to_rest(world: &mut World) {
    world.ends.iter_mut().for_each(|end| end.stopped = false);
    world.ends.iter().for_each(|end| end.fuse.put_out());
    for end in 0..world.ends.len() {
        if world.ends[end].alive && world.ends[end].wanted && world.ends[end].leaving {
            world.leave(end);
            world.audit_messages(Step::Leaving(world.ends[end].id));
        }
    }
    world.conns.values_mut().for_each(|conn| conn.late = false);
    // There is room for everything, and everybody says again what found none.
    world.scarce = 0;
    for end in 0..world.ends.len() {
        if world.ends[end].alive && world.ends[end].wanted {
            world.tell(end);
        }
    }
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
            let waits = |end: &End| end.holds_listener();
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
            world.tell(end);
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
                Read::Again | Read::Disbelieved | Read::Nothing => {}
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
    let open = || network.channels.iter().filter(|channel| !channel.ended);
    let unknown = open().map(|channel| channel.unknown_until).chain(open().map(|channel| channel.doubt_ends));
    let unknown = unknown.filter(|until| until.is_some_and(|until| until > world.now()));
    host.chain(ends).chain(unknown).flatten().min()
}

/// What has to be true when nothing happens any more.
pub(crate) fn at_rest(world: &mut World) {
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
