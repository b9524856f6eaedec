//! What may happen next in a world: one thing, somewhere, of which the seed decides.

use std::sync::Arc;

use super::attacks::attack;
use super::ledger::Step;
use super::post::Sent;
use super::reading::Read;
use super::world::{ELEMENTS, MILLI, World};
use crate::controller::{ConnId, Event};
use crate::label_op::LabelOp;
use crate::selector::{Selector, Ttl};
use crate::wire::ClientFrame;

/// How often what happens in one world.
pub(crate) struct Nature {
    pub(crate) deaths: usize,
    pub(crate) attacks: usize,
    pub(crate) messages: usize,
    pub(crate) jumps: usize,
}

/// One thing happens somewhere.
pub(crate) fn step(world: &mut World, nature: &Nature) -> Step {
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
        77 if running
            && nature.deaths > 0
            && world.ends[end].wanted
            && world.rng.chance(30)
            && !world.ends[end].leaving =>
        {
            world.begin_to_leave(end);
            return Step::Leaving(world.ends[end].id);
        }
        78..80 if running => {
            world.ends[end].watching = !world.ends[end].watching;
            world.tell(end);
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
pub(crate) fn post(world: &mut World) -> Step {
    let end = world.rng.below(world.ends.len());
    let me = &world.ends[end];
    if !me.running() || !me.wanted || me.leaving || me.board.is_none() {
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
    world.tell(end);
}

fn receive(world: &mut World, end: usize) -> Step {
    let readable = world.network.borrow().readable(world.ends[end].id);
    let Some(place) = world.rng.pick(&readable) else { return Step::Other };
    match world.ends[end].post.receive(place) {
        Read::Got(got) => world.got(end, &got),
        Read::Again => world.audit.count("second copies dropped"),
        Read::Disbelieved => world.audit.count("disbelieved"),
        Read::Refused => {
            world.refused_channel(place);
            return Step::Leaving(world.ends[end].id);
        }
        Read::Nothing => {}
    }
    Step::Other
}

/// The core thread of an endpoint does what is due: hears of ends, looks at its timer or at the directory.
pub(crate) fn look_after(world: &mut World, end: usize) -> Step {
    let now = world.now();
    if world.ends[end].running() && world.ends[end].wanted {
        if world.ends[end].leaving && world.rng.chance(30) {
            return leave(world, end);
        }
        let lost = world.ends[end].post.lost_links();
        if let Some(id) = world.rng.pick(&lost) {
            world.ends[end].post.hangup(id);
        } else if world.ends[end].post.timer.is_some_and(|due| due <= now) {
            world.ends[end].post.tick();
        }
        world.tell(end);
    }
    Step::Other
}

pub(crate) fn tick(world: &mut World) {
    if world.host_running() {
        world.handle(Event::Tick);
    }
}

pub(crate) fn with_mail_for_server(world: &World) -> Vec<ConnId> {
    if !world.host_running() {
        return Vec::new();
    }
    // Ends of connections that the controller has closed itself may come, too, and change nothing.
    let waiting =
        world.conns.iter().filter(|(id, conn)| !conn.to_server.is_empty() && !conn.late && !world.backlog.contains(id));
    waiting.map(|(id, _)| *id).collect()
}

pub(crate) fn with_mail_for_client(world: &World) -> Vec<ConnId> {
    let waiting = world.conns.iter().filter(|(_, conn)| {
        let reads = conn.end.is_some_and(|end| world.ends[end].running()) && !conn.dropped;
        reads && !conn.to_client.is_empty()
    });
    waiting.map(|(id, _)| *id).collect()
}

pub(crate) fn leave(world: &mut World, end: usize) -> Step {
    let me = &world.ends[end];
    // What waits is the controller's to deliver, so whoever leaves sees to it that the controller knows, for a second.
    let has_something = !me.post.parking.is_empty() || !me.post.backlog.is_empty();
    if has_something && !me.welcomed && world.rng.chance(90) {
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
    world.tell(end);
    Step::Leaving(id)
}
