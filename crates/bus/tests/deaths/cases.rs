//! What is cut off: each operation with what leads up to it, as words for the victim and steps of the survivors.

use crate::victims::speech::Size;
use crate::world::World;

/// Which thread of the victim is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// The caller's, between two marks.
    User,
    /// The core thread, until the operation is over and it sleeps again.
    Core,
}

/// Who is there first and plays controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Founder {
    Survivor,
    Victim,
    /// Nobody is there before the victim, or with it.
    Nobody,
    /// A process of its own, to be killed when the operation begins.
    Helper,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) thread: Thread,
    pub(crate) founder: Founder,
    /// Whether survivors may play controller.
    pub(crate) affinity: bool,
    /// Somebody who may follow is stopped until the victim is dead.
    pub(crate) successor: bool,
    /// What another process does, which dies when the operation begins.
    pub(crate) aside: Option<&'static str>,
    /// What the victim does before the gate, and behind it.
    pub(crate) before: &'static str,
    pub(crate) window: &'static str,
    /// What survivors have of their own, with or without a victim.
    pub(crate) equip: fn(&mut World),
    /// What they do while the victim awaits it, if it does.
    pub(crate) introduce: fn(&mut World),
    /// What they do before the operation.
    pub(crate) prepare: fn(&mut World),
    /// What they do when it begins.
    pub(crate) begin: fn(&mut World),
    /// What they do half way between the last system call and the victim's death.
    pub(crate) half_way: fn(&mut World),
    /// What they do when the victim waits.
    pub(crate) help: fn(&mut World),
    /// Messages that may have arrived without the victim having told so.
    pub(crate) ahead: usize,
    /// It is not killed there: what `half_way` does comes at that place, and the victim has to notice it and get through.
    pub(crate) notices: bool,
    /// What it has not read goes to another.
    pub(crate) redelivers: bool,
    /// Whoever gets it gets it in order.
    pub(crate) ordered: bool,
    /// It leaves messages for `w`, who is not there yet.
    pub(crate) waits: bool,
    /// So short that all of it is looked at.
    pub(crate) short: bool,
}

const PLAIN: Case = Case {
    name: "",
    thread: Thread::User,
    founder: Founder::Survivor,
    affinity: true,
    successor: false,
    aside: None,
    before: "join",
    window: "",
    equip: nothing,
    introduce: World::hear_all,
    prepare: World::hear_all,
    begin: nothing,
    half_way: nothing,
    help: World::hear_all,
    ahead: 1,
    notices: false,
    redelivers: true,
    ordered: true,
    waits: false,
    short: false,
};

impl Case {
    /// What the victim tells when it has come as far as it can by itself.
    pub(crate) fn stop(&self) -> &'static str {
        if self.before.contains("await") { "waiting" } else { "ready" }
    }
}

/// One who has talked with `a` before and is known by it.
const KNOWN: &str = "join intern=a say=a await plain=a";
/// One who has heard from `a` before, and has learned that spinning is in vain.
const HEARING: &str = "join say=a await hear tire";
/// One who leaves something read, and something that waits.
const WAITING: &str = "join say=a say=w:3";

pub(crate) const CASES: &[Case] = &[
    Case { name: "push", before: KNOWN, window: "plain=a", short: true, ..PLAIN },
    Case { name: "push by the long way", before: KNOWN, window: "say=a", short: true, ..PLAIN },
    Case { name: "push a run", before: KNOWN, window: "run=a:3", ahead: 3, short: true, ..PLAIN },
    Case { name: "pop", before: HEARING, window: "hear", introduce: say_two, prepare: nothing, short: true, ..PLAIN },
    Case {
        name: "pop a run",
        before: HEARING,
        window: "drain=3",
        introduce: |world| say_to_victim(world, 4),
        prepare: nothing,
        short: true,
        ..PLAIN
    },
    Case {
        name: "sleep and be woken",
        before: HEARING,
        window: "hear",
        introduce: say_one,
        help: |world| say_up_to(world, 2),
        short: true,
        ..PLAIN
    },
    Case {
        name: "sleep while a message comes",
        before: HEARING,
        window: "hear",
        introduce: say_one,
        half_way: |world| say_up_to(world, 2),
        help: |world| say_up_to(world, 2),
        notices: true,
        short: true,
        ..PLAIN
    },
    Case { name: "wake a receiver", before: KNOWN, window: "plain=a", equip: sleep_armed, short: true, ..PLAIN },
    Case { name: "wait for room", before: "join say=a await lap=a:5", window: "lap=a", prepare: nothing, ..PLAIN },
    Case {
        name: "give room",
        before: "join say=a await hear=2",
        window: "hear",
        equip: equip_to_wait,
        introduce: |world| {
            world.hear_all();
            (0..5).for_each(|_| world.a.say('v', Size::Lap));
            world.say_later('v', Size::Lap);
        },
        ordered: false,
        ..PLAIN
    },
    Case { name: "the first send", window: "say=a", ..PLAIN },
    Case { name: "the first message", window: "hear", prepare: say_two, ..PLAIN },
    Case { name: "send a large payload", before: "join say=a await", window: "large=a", equip: large, ..PLAIN },
    Case {
        name: "take a large payload",
        before: "join say=a await hear",
        window: "hear",
        equip: large,
        introduce: |world| {
            world.hear_all();
            (0..3).for_each(|_| world.a.say('v', Size::Large));
        },
        ..PLAIN
    },
    Case { name: "join", before: "", window: "join", ..PLAIN },
    Case { name: "join, core thread", thread: Thread::Core, before: "warm", window: "join", ..PLAIN },
    Case { name: "found", founder: Founder::Nobody, before: "", window: "join", ..PLAIN },
    Case {
        name: "found, core thread",
        thread: Thread::Core,
        founder: Founder::Nobody,
        before: "warm",
        window: "join",
        ..PLAIN
    },
    Case { name: "leave", before: WAITING, window: "leave", prepare: say_three, waits: true, ..PLAIN },
    Case {
        name: "leave as controller",
        founder: Founder::Victim,
        before: WAITING,
        window: "leave",
        prepare: say_three,
        waits: true,
        ..PLAIN
    },
    Case {
        name: "take over",
        thread: Thread::Core,
        founder: Founder::Helper,
        affinity: false,
        successor: true,
        window: "office",
        begin: World::kill_controller,
        ..PLAIN
    },
    Case {
        name: "take over with nobody to follow",
        thread: Thread::Core,
        founder: Founder::Helper,
        affinity: false,
        window: "office",
        begin: World::kill_controller,
        ..PLAIN
    },
    Case {
        name: "register with the next controller",
        thread: Thread::Core,
        founder: Founder::Helper,
        before: "follow",
        window: "missing=c",
        begin: World::kill_controller,
        ..PLAIN
    },
    Case { name: "ask", before: "join say=a door await", window: "ask=a", ..PLAIN },
    Case {
        name: "reply",
        before: "join say=a await",
        window: "reply",
        equip: |world| world.a.asking = Some(world.a.end.sender().asking().expect("a door")),
        prepare: |world| {
            world.hear_all();
            world.a.ask('v');
        },
        redelivers: false,
        ..PLAIN
    },
    Case {
        name: "deliver what waited",
        thread: Thread::Core,
        before: WAITING,
        window: "spent",
        begin: World::invite,
        waits: true,
        ..PLAIN
    },
    Case {
        name: "adopt what the dead let wait",
        thread: Thread::Core,
        founder: Founder::Victim,
        aside: Some("join say=w:3 gate"),
        window: "waiting=3",
        begin: |world| world.aside.iter_mut().for_each(|aside| aside.kill()),
        waits: true,
        ..PLAIN
    },
];

fn nothing(_: &mut World) {}

fn say_to_victim(world: &mut World, count: usize) {
    (0..count).for_each(|_| world.a.say('v', Size::Short));
}

fn say_one(world: &mut World) {
    world.hear_all();
    say_to_victim(world, 1);
}

fn say_two(world: &mut World) {
    world.hear_all();
    say_to_victim(world, 2);
}

fn say_three(world: &mut World) {
    world.hear_all();
    say_to_victim(world, 3);
}

/// Says to the victim what is missing of so many.
fn say_up_to(world: &mut World, count: u64) {
    let missing = count - world.a.has_said('v').min(count);
    say_to_victim(world, missing as usize);
}

/// Whoever hears nothing has its channels ring: it stands in an event loop.
fn sleep_armed(world: &mut World) {
    world.a.end.receiver().fileno().expect("a descriptor");
    world.hear_all();
}

/// What is kept of having waited for room once.
fn equip_to_wait(world: &mut World) {
    (0..6).for_each(|_| world.b.hear_all());
    (0..5).for_each(|_| world.a.say('b', Size::Lap));
    world.say_later('b', Size::Lap);
    world.finish_saying();
}

fn large(world: &mut World) {
    world.a.say('b', Size::Large);
    world.b.say('a', Size::Large);
}
