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
    /// What they do when the victim waits.
    pub(crate) help: fn(&mut World),
    /// Messages that may have arrived without the victim having told so.
    pub(crate) ahead: usize,
    /// Messages that it may have taken with it without having told so.
    pub(crate) lead: u64,
    /// What it has not read goes to another.
    pub(crate) redelivers: bool,
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
    before: "join",
    window: "",
    equip: |_| (),
    introduce: World::hear_all,
    prepare: World::hear_all,
    begin: |_| (),
    help: World::hear_all,
    ahead: 1,
    lead: 1,
    redelivers: true,
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

pub(crate) const CASES: &[Case] = &[
    Case { name: "push", before: KNOWN, window: "plain=a", short: true, ..PLAIN },
    Case { name: "push by the long way", before: KNOWN, window: "say=a", short: true, ..PLAIN },
    Case { name: "push a run", before: KNOWN, window: "run=a:3", ahead: 3, short: true, ..PLAIN },
    Case {
        name: "pop",
        before: "join say=a await hear",
        window: "hear",
        introduce: |world| say_to_victim(world, 2),
        prepare: |_| (),
        short: true,
        ..PLAIN
    },
    Case {
        name: "pop a run",
        before: "join say=a await hear",
        window: "drain=3",
        introduce: |world| say_to_victim(world, 5),
        lead: 3,
        short: true,
        ..PLAIN
    },
];

fn say_to_victim(world: &mut World, count: usize) {
    (0..count).for_each(|_| world.a.say('v', Size::Short));
}
