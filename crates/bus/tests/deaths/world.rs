//! A bus with two survivors, `a` and `b`, and a victim, `v`; what is said and heard on it, and what has to be true of it when
//! the victim is dead.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipmb_bus::error::SendError;
use ipmb_bus::stats::RefuseReason;
use ipmb_bus::{Asking, Endpoint, Outcome, Outgoing, Overflow, Payload, Progress};
use nix::sys::signal::Signal;

use crate::cases::{Case, Founder};
use crate::victims::leaks::{self, Holdings};
use crate::victims::process::Victim;
use crate::victims::script::reply;
use crate::victims::speech::{self, Heard, Said, Size, arrive, hear, hear_now};

/// Bound for whatever has to become true.
pub(crate) const SOON: Duration = Duration::from_secs(5);

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

pub(crate) struct Survivor {
    pub(crate) name: char,
    pub(crate) end: Endpoint,
    /// Replies end here, if it asks.
    pub(crate) asking: Option<Asking>,
    /// How many requests it has under way.
    pub(crate) asked: usize,
    said: BTreeMap<char, u64>,
    heard: Vec<Heard>,
    wrong: Vec<String>,
}

impl Survivor {
    fn join(bus: &str, name: char, affinity: bool) -> Survivor {
        let end = arrive(bus, name, affinity).expect("a survivor joins");
        Survivor { name, end, asking: None, asked: 0, said: BTreeMap::new(), heard: Vec::new(), wrong: Vec::new() }
    }

    pub(crate) fn next(&mut self, to: char) -> Said {
        let next = self.said.entry(to).or_default();
        *next += 1;
        Said { from: self.name, to, number: *next - 1 }
    }

    pub(crate) fn say(&mut self, to: char, size: Size) {
        let said = self.next(to);
        if let Err(error) = speech::say(&self.end, said, size, Some(SOON)) {
            self.wrong.push(format!("{said:?} is not sent: {error}"));
        }
    }

    pub(crate) fn has_said(&self, to: char) -> u64 {
        self.said.get(&to).copied().unwrap_or(0)
    }

    pub(crate) fn ask(&mut self, whom: char) {
        let (said, sender) = (self.next(whom), self.end.sender());
        let asking = self.asking.as_ref().expect("a door");
        let number = asking.begin().expect("a number");
        let route = sender.intern_request(&speech::to(whom)).expect("a route");
        let body = said.body(Size::Short);
        let mut out = Outgoing::new(route, speech::TYPE, Payload::Inline(&body), Overflow::Block).expect("a message");
        out.correlate(number, true);
        match sender.try_send(&mut out) {
            Ok(Progress::Done(1)) => self.asked += 1,
            other => self.wrong.push(format!("a request is not sent: {other:?}")),
        }
    }

    /// Takes what is there. Who asks is replied to.
    pub(crate) fn hear_all(&mut self) {
        loop {
            match hear_now(&self.end) {
                Ok(Some(heard)) => self.note(heard),
                Ok(None) => return,
                Err(error) => return self.wrong.push(format!("{} cannot receive: {error}", self.name)),
            }
        }
    }

    fn note(&mut self, heard: Result<Heard, String>) {
        match heard {
            Ok(heard) => {
                if heard.said.to != self.name {
                    self.wrong.push(format!("{} hears {:?}", self.name, heard.said));
                }
                if let Some(asked) = heard.asked {
                    reply(&self.end, asked, Said { from: self.name, to: heard.said.from, number: heard.said.number });
                }
                self.heard.push(heard);
            }
            Err(text) => self.wrong.push(format!("{} hears {text}", self.name)),
        }
    }

    fn numbers(&self, from: char) -> Vec<u64> {
        self.heard.iter().filter(|heard| heard.said.from == from).map(|heard| heard.said.number).collect()
    }

    /// Waits until it has heard so many from somebody.
    fn hear_from(&mut self, from: char, count: usize) -> Result<(), String> {
        let end = Instant::now() + SOON;
        while self.numbers(from).len() < count {
            ensure!(
                Instant::now() < end,
                "{} hears {:?} from {from} instead of {count} messages {:?}",
                self.name,
                self.numbers(from),
                self.wrong
            );
            match hear(&self.end, Some(Duration::from_millis(100))) {
                Ok(Some(heard)) => self.note(heard),
                Ok(None) => {}
                Err(error) => return Err(format!("{} cannot receive: {error}", self.name)),
            }
        }
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) bus: String,
    pub(crate) a: Survivor,
    pub(crate) b: Survivor,
    /// A process that is killed, or stopped until the victim is dead.
    pub(crate) helper: Option<Victim>,
    pub(crate) heir_of_role: Option<Victim>,
    /// Another process that dies when the operation begins.
    pub(crate) aside: Option<Victim>,
    /// Who was waited for, once it has come.
    pub(crate) w: Option<Survivor>,
    /// A send of `a` that waits for room.
    later: Option<JoinHandle<Result<usize, SendError>>>,
}

/// The victim at its gate, and the bus around it.
pub(crate) struct Scene {
    /// `None` where nobody else is there before the victim is dead.
    pub(crate) world: Option<World>,
    pub(crate) victim: Victim,
}

fn fresh_bus() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("deaths.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// Survivors who know each other.
    fn new(bus: String, case: &Case) -> World {
        let helper = (case.founder == Founder::Helper).then(|| {
            let mut helper = Victim::start(&bus, 'c', "join gate");
            helper.wait("ready");
            helper
        });
        let a = Survivor::join(&bus, 'a', case.affinity);
        let b = Survivor::join(&bus, 'b', case.affinity);
        let mut world = World { bus, a, b, helper, heir_of_role: None, aside: None, w: None, later: None };
        world.greet();
        (case.equip)(&mut world);
        world
    }

    fn greet(&mut self) {
        self.a.say('b', Size::Short);
        self.b.say('a', Size::Short);
    }

    pub(crate) fn hear_all(&mut self) {
        self.a.hear_all();
        self.b.hear_all();
        self.w.iter_mut().for_each(Survivor::hear_all);
    }

    pub(crate) fn kill_controller(&mut self) {
        self.helper = None;
    }

    /// Somebody comes for whom messages wait.
    pub(crate) fn invite(&mut self) {
        self.w = Some(Survivor::join(&self.bus, 'w', true));
    }

    /// `a` says something for which there is no room yet.
    pub(crate) fn say_later(&mut self, to: char, size: Size) {
        let (end, said) = (self.a.end.clone(), self.a.next(to));
        let (tell, told) = std::sync::mpsc::channel();
        self.later = Some(std::thread::spawn(move || {
            let _ = tell.send(nix::unistd::gettid());
            speech::say(&end, said, size, Some(SOON))
        }));
        // Once it waits its receiver is to say when there is room.
        let path = format!("/proc/self/task/{}/stat", told.recv().expect("it runs"));
        let end = Instant::now() + SOON;
        let sleeps = || std::fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") S "));
        while !sleeps() && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits until that is said.
    pub(crate) fn finish_saying(&mut self) {
        if let Some(later) = self.later.take() {
            let end = Instant::now() + SOON;
            while !later.is_finished() && Instant::now() < end {
                self.hear_all();
                std::thread::sleep(Duration::from_micros(200));
            }
            if let Err(error) = later.join().expect("it does not panic") {
                self.a.wrong.push(format!("what waited for room is not sent: {error}"));
            }
        }
    }

    fn wrong(&self) -> Vec<&String> {
        self.a.wrong.iter().chain(&self.b.wrong).chain(self.w.iter().flat_map(|w| &w.wrong)).collect()
    }

    /// What the survivors should have open and mapped when the victim is gone: what they have when there was none.
    pub(crate) fn reference(case: &Case) -> Holdings {
        let mut world = World::new(fresh_bus(), case);
        if case.affinity {
            // One of them plays controller by then.
            world.kill_controller();
        }
        world.afterwards(None).expect("a bus without a victim works");
        leaks::least_of("self", || world.hear_all())
    }

    /// The bus works as if nothing had been. `gone`: who must not be on it any more.
    fn afterwards(&mut self, gone: Option<u64>) -> Result<(), String> {
        self.greet();
        let begun = Instant::now();
        let mut newcomer = Survivor::join(&self.bus, 'n', true);
        ensure!(begun.elapsed() < SOON, "a newcomer waits {:?}", begun.elapsed());
        newcomer.say('a', Size::Short);
        newcomer.say('b', Size::Short);
        self.a.say('n', Size::Short);
        self.b.say('n', Size::Short);
        let (one, other) = (self.a.has_said('b') as usize, self.b.has_said('a') as usize);
        self.b.hear_from('a', one)?;
        self.a.hear_from('b', other)?;
        self.a.hear_from('n', 1)?;
        self.b.hear_from('n', 1)?;
        newcomer.hear_from('a', 1)?;
        newcomer.hear_from('b', 1)?;
        let others = usize::from(self.w.is_some()) + usize::from(self.helper.is_some()) + 2;
        for member in [&self.a, &self.b] {
            let end = Instant::now() + SOON;
            loop {
                let peers = member.end.peers().map_err(|error| error.to_string())?;
                if peers.len() == others && !peers.iter().any(|peer| Some(peer.info.id) == gone) {
                    break;
                }
                let there: Vec<_> = peers.iter().map(|peer| &peer.info.label).collect();
                ensure!(Instant::now() < end, "{} sees {there:?} on the bus", member.name);
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    }
}

impl Scene {
    pub(crate) fn prepare(case: &Case) -> Scene {
        let bus = fresh_bus();
        let script = format!("{} gate {}", case.before, case.window);
        let start = || {
            let mut victim = Victim::start(&bus, 'v', &script);
            victim.wait(case.stop());
            victim
        };
        let early = matches!(case.founder, Founder::Victim | Founder::Nobody).then(start);
        if case.founder == Founder::Nobody {
            return Scene { world: None, victim: early.expect("it was started") };
        }
        let mut world = World::new(bus.clone(), case);
        let mut victim = early.unwrap_or_else(start);
        let join = |name, script| {
            let mut other = Victim::start(&bus, name, script);
            other.wait("ready");
            other
        };
        if case.successor {
            let next = join('c', "join gate");
            next.signal(Signal::SIGSTOP);
            world.heir_of_role = Some(next);
        }
        world.aside = case.aside.map(|script| join('x', script));
        if case.stop() == "waiting" {
            (case.introduce)(&mut world);
            victim.go();
            victim.wait("ready");
        }
        (case.prepare)(&mut world);
        Scene { world: Some(world), victim }
    }

    /// The victim is dead; what is left has to be as it should.
    pub(crate) fn judge(mut self, case: &Case, expected: &Holdings) -> Result<(), String> {
        self.victim.kill();
        let Scene { world, victim } = self;
        let mut world = world.unwrap_or_else(|| World::new(victim.bus.clone(), case));
        if let Some(next) = world.heir_of_role.take() {
            next.signal(Signal::SIGCONT);
            world.helper = Some(next);
        }
        // What it said is a clean prefix that has all it has told.
        let said = victim.told("said a");
        world.a.hear_from('v', said.len())?;
        // Who waits for it is told.
        if let Some(asking) = world.a.asking.take() {
            let end = Instant::now() + SOON;
            let mut ended = 0;
            while ended < world.a.asked {
                ensure!(Instant::now() < end, "a request does not end");
                for (_, outcome) in asking.poll(speech::understand).map_err(|error| error.to_string())? {
                    ended += 1;
                    if let Outcome::Reply(reply) = outcome {
                        ensure!(reply?.said.from == 'v', "a reply of somebody else");
                    }
                }
                let _ = asking.park(ipmb_bus::wait::deadline(Some(Duration::from_millis(20))));
            }
        }
        // What was said to it and not read goes to another, with nothing after it but what is sent from now on.
        let sent = world.a.said.get(&'v').copied().unwrap_or(0);
        let read = victim.told("heard");
        let mut heir = Survivor::join(&world.bus, 'v', true);
        // What waited for room has found it now; the next one is the last.
        world.finish_saying();
        world.a.say('v', Size::Short);
        // What it had copied out when it died may count as read or not; all else does not.
        let taken = victim.told("took").len() as u64;
        let missing = if case.redelivers { sent.saturating_sub(taken) } else { 0 } as usize;
        heir.hear_from('a', missing + 1)?;
        while heir.numbers('a').last() != Some(&sent) {
            heir.hear_from('a', heir.numbers('a').len() + 1)?;
        }
        let mut left = heir.numbers('a');
        if !case.ordered {
            left.sort_unstable();
        }
        let rest: Vec<_> = (sent + 1 - left.len() as u64..=sent).collect();
        ensure!(left == rest, "the heir hears {left:?} of {sent}, of which {} were read", read.len());
        ensure!(left.len() as u64 - 1 <= sent - read.len() as u64, "{left:?} come again, {read:?} were read");
        ensure!(heir.wrong.is_empty(), "{:?}", heir.wrong);
        drop(heir);
        // What waited for somebody to come is there when they do.
        let waiting = victim.told("said w").len();
        // Who dies with the controller before it has adopted what they let wait takes that along.
        let adopted = world.aside.take().filter(|_| victim.count("done") > 0);
        let aside = adopted.map_or(0, |x| x.told("said w").len());
        if case.waits {
            if world.w.is_none() {
                world.invite();
            }
            let w = world.w.as_mut().expect("it has joined");
            w.hear_from('v', waiting)?;
            w.hear_from('x', aside)?;
        }
        world.afterwards(None)?;
        world.hear_all();
        for survivor in [Some(&world.a), Some(&world.b), world.w.as_ref()].into_iter().flatten() {
            for from in ['a', 'b', 'v', 'n', 'w', 'x'] {
                let mut numbers = survivor.numbers(from);
                if survivor.name == 'w' {
                    // Some of it may come from one who adopted it.
                    numbers.sort_unstable();
                }
                let whole: Vec<_> = (0..numbers.len() as u64).collect();
                ensure!(numbers == whole, "{} hears {numbers:?} from {from}", survivor.name);
            }
        }
        let most = said.len() + case.ahead;
        ensure!(world.a.numbers('v').len() <= most, "{:?} of {said:?}", world.a.numbers('v'));
        if let Some(w) = &world.w {
            ensure!(w.numbers('v').len() <= waiting, "{:?} of {waiting}", w.numbers('v'));
        }
        ensure!(world.wrong().is_empty(), "{:?}", world.wrong());
        // A death is no lie.
        for survivor in [&world.a, &world.b] {
            let stats = survivor.end.stats().map_err(|error| error.to_string())?;
            for (reason, count) in RefuseReason::ALL.into_iter().zip(stats.refused) {
                let honest =
                    !matches!(reason, RefuseReason::Lie | RefuseReason::Memory | RefuseReason::ChannelMalformed);
                ensure!(honest || count == 0, "{} took what a dead one left for a lie: {reason:?}", survivor.name);
            }
        }
        // The ones who came for the judgement are gone again, and nothing is left of any of them.
        world.w = None;
        leaks::settle(expected, SOON, || world.hear_all())
    }
}
