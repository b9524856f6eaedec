//! What a victim does: words, one after the other, and a line for each that is done.
//!
//! `main` of a test program calls [`play`] first; in a process that was started as a victim it does not return. The words
//! up to `gate` prepare; then it waits for a byte, does the rest between two marks (`getppid`, which nothing else calls), and
//! stays as it is until it is killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::time::Duration;

use ipmb_bus::wait::deadline;
use ipmb_bus::{Asking, Build, Endpoint, Incoming, Outcome, Outgoing, Overflow, Payload, Progress, RouteId};

use super::speech::{LONG, Said, Size, TYPE, arrive, hear, to, understand};

/// Set in the environment of a victim: its script.
pub(crate) const SCRIPT: &str = "IPMB_VICTIM";

/// Plays the script of this process, if it has one.
pub(crate) fn play() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let mut words = script.split_whitespace();
    let (bus, name) = (words.next().expect("a bus"), words.next().expect("a name"));
    let stdout = io::stdout().as_fd().try_clone_to_owned().expect("a descriptor");
    let mut victim = Victim {
        bus: bus.to_owned(),
        name: name.chars().next().expect("a letter"),
        out: File::from(stdout),
        end: None,
        route: None,
        asking: None,
        next: HashMap::new(),
        buffer: vec![0; 1 << 18],
        taken: (0..64).map(|number| format!("took {number}\n")).collect(),
        lines: (0..64).map(|number| format!("heard {number}\n")).collect(),
    };
    for word in words.by_ref().take_while(|&word| word != "gate") {
        victim.prepare(word).into_iter().for_each(|act| act(&mut victim));
    }
    // Nothing of what is followed is the script's own, as far as that can be.
    let acts: Vec<_> = words.flat_map(|word| victim.prepare(word)).collect();
    victim.tell("ready\n");
    io::stdin().read_exact(&mut [0]).expect("the gate");
    let _ = parent_id();
    for act in acts {
        act(&mut victim);
    }
    let _ = parent_id();
    victim.tell("done\n");
    // What is kept open stays open; nothing is put away.
    let _ = io::stdin().read(&mut [0]);
    std::process::exit(0);
}

type Act = Box<dyn FnOnce(&mut Victim)>;

struct Victim {
    bus: String,
    name: char,
    out: File,
    end: Option<Endpoint>,
    route: Option<RouteId>,
    asking: Option<Asking>,
    /// Number of the next message it says to somebody.
    next: HashMap<char, u64>,
    /// Where it hears.
    buffer: Vec<u8>,
    /// What it tells when it has copied a message out, and when that counts as read.
    taken: Vec<String>,
    lines: Vec<String>,
}

impl Victim {
    /// What a word means, ready to be done.
    fn prepare(&mut self, word: &str) -> Vec<Act> {
        let (verb, object) = word.split_once('=').unwrap_or((word, "1"));
        // say=a:3, say=a, hear=3, hear
        let (who, count) = object.split_once(':').unwrap_or((object, object));
        let count: u64 = count.parse().unwrap_or(1);
        let who = who.chars().next().unwrap_or('?');
        match verb {
            "join" => one(|victim| victim.end = Some(arrive(&victim.bus, victim.name, true).expect("join"))),
            "follow" => one(|victim| victim.end = Some(arrive(&victim.bus, victim.name, false).expect("join"))),
            // Has the core thread started by the time anybody looks for it.
            "warm" => one(|victim| drop(arrive(&format!("{}.warm", victim.bus), 'x', true).expect("join"))),
            "leave" => one(|victim| victim.end().close()),
            "intern" => {
                one(move |victim| victim.route = Some(victim.end().sender().intern(&to(who)).expect("a route")))
            }
            "say" => (0..count).map(|_| self.say(who, Size::Short)).collect(),
            "lap" => (0..count).map(|_| self.say(who, Size::Lap)).collect(),
            "large" => (0..count).map(|_| self.say(who, Size::Large)).collect(),
            "plain" => (0..count).map(|_| self.plain(who)).collect(),
            "run" => vec![self.run(who, count)],
            "hear" => (0..count).map(|_| -> Act { Box::new(Victim::hear) }).collect(),
            "drain" => one(move |victim| victim.drain(count)),
            "door" => one(|victim| victim.asking = Some(victim.end().sender().asking().expect("a door"))),
            "ask" => vec![self.ask(who)],
            "reply" => one(Victim::reply),
            "office" => one(|victim| {
                while !victim.end().is_controller() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
            // Nobody of that name is on the bus any more, as far as it knows.
            "missing" => one(move |victim| {
                let name = who.to_string();
                while victim.end().peers().expect("peers").iter().any(|peer| peer.info.label.contains(&name)) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
            "spent" => one(|victim| {
                while victim.end().stats().expect("stats").waiting > 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
            "waiting" => one(move |victim| {
                while victim.end().stats().expect("stats").waiting < count {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
            "tire" => one(|victim| {
                (0..9).for_each(|_| {
                    let _ = victim.end().receiver().spin();
                })
            }),
            "await" => one(|victim| {
                victim.tell("waiting\n");
                io::stdin().read_exact(&mut [0]).expect("a word to go on");
            }),
            other => panic!("what is {other}?"),
        }
    }

    fn end(&self) -> &Endpoint {
        self.end.as_ref().expect("it has joined")
    }

    /// One line, in one write: it is there or not.
    fn tell(&mut self, line: &str) {
        let _ = self.out.write_all(line.as_bytes());
    }

    /// The next message to somebody, and what tells that it was sent.
    fn next(&mut self, to: char) -> (Said, String) {
        let next = self.next.entry(to).or_default();
        *next += 1;
        (Said { from: self.name, to, number: *next - 1 }, format!("said {to} {}\n", *next - 1))
    }

    fn say(&mut self, who: char, size: Size) -> Act {
        let (said, line) = self.next(who);
        let (body, selector) = (said.body(size), to(who));
        Box::new(move |victim| {
            let sent = victim.end().sender().send(&selector, TYPE, &body, Vec::new(), LONG, Overflow::Block);
            sent.expect("send");
            victim.tell(&line);
        })
    }

    /// The straight way of a message for one whose channel is open.
    fn plain(&mut self, to: char) -> Act {
        let (said, line) = self.next(to);
        let body = said.body(Size::Short);
        Box::new(move |victim| {
            assert!(victim.end().sender().try_plain(victim.route.expect("a route"), TYPE, &body), "no way");
            victim.tell(&line);
        })
    }

    fn run(&mut self, to: char, count: u64) -> Act {
        let (bodies, lines): (Vec<_>, Vec<_>) =
            (0..count).map(|_| self.next(to)).map(|(said, line)| (said.body(Size::Short), line)).unzip();
        let lines = lines.concat();
        Box::new(move |victim| {
            let route = victim.route.expect("a route");
            let sender = victim.end().sender();
            let went = sender.try_plain_run(route, |at| bodies.get(at).map(|body| (TYPE, &body[..])));
            assert_eq!(went as u64, count);
            victim.tell(&lines);
        })
    }

    fn hear(&mut self) {
        let Victim { end, buffer, out, taken, .. } = self;
        let receiver = end.as_ref().expect("it has joined").receiver();
        let heard = receiver.recv(LONG, |incoming| {
            let number = number(incoming, buffer);
            let _ = out.write_all(taken[number as usize].as_bytes());
            Build::Take(number)
        });
        let number = heard.expect("recv").expect("a message in time");
        let line = self.lines[number as usize].clone();
        self.tell(&line);
    }

    fn drain(&mut self, count: u64) {
        let Victim { end, buffer, out, taken, .. } = self;
        let receiver = end.as_ref().expect("it has joined").receiver();
        let mut heard = Vec::with_capacity(count as usize);
        while (heard.len() as u64) < count {
            let left = count as usize - heard.len();
            let take = |incoming: &mut Incoming<'_>| {
                let number = number(incoming, buffer);
                let _ = out.write_all(taken[number as usize].as_bytes());
                heard.push(number);
                Build::Take(())
            };
            receiver.try_drain(left, take).expect("drain");
        }
        let lines: String = heard.into_iter().map(|number| &*self.lines[number as usize]).collect();
        self.tell(&lines);
    }

    /// Asks, and waits for the reply.
    fn ask(&mut self, whom: char) -> Act {
        let (said, line) = self.next(whom);
        let (body, selector) = (said.body(Size::Short), to(whom));
        Box::new(move |victim| {
            let (end, asking) = (victim.end().clone(), victim.asking.take().expect("a door"));
            let number = asking.begin().expect("a number");
            let route = end.sender().intern_request(&selector).expect("a route");
            let mut out = Outgoing::new(route, TYPE, Payload::Inline(&body), Overflow::Block).expect("a message");
            out.correlate(number, true);
            while !matches!(end.sender().try_send(&mut out).expect("a request"), Progress::Done(1)) {
                let _ = out.wait(deadline(LONG));
            }
            victim.tell(&line);
            loop {
                let outcomes = asking.poll(understand).expect("a poll");
                if let Some((_, outcome)) = outcomes.into_iter().next() {
                    match outcome {
                        Outcome::Reply(reply) => assert_eq!(reply.expect("a sound reply").said.from, whom),
                        Outcome::Lost { .. } => panic!("lost"),
                    }
                    victim.asking = Some(asking);
                    return victim.tell("replied\n");
                }
                let _ = asking.park(deadline(LONG));
            }
        })
    }

    /// Takes a request, and replies to it.
    fn reply(&mut self) {
        let heard = hear(self.end(), LONG).expect("recv").expect("a request in time").expect("a sound request");
        self.tell(&format!("heard {}\n", heard.said.number));
        let said = Said { from: self.name, to: heard.said.from, number: heard.said.number };
        assert_eq!(reply(self.end(), heard.asked.expect("a request"), said), 1);
        self.tell("answered\n");
    }
}

fn one(act: impl FnOnce(&mut Victim) + 'static) -> Vec<Act> {
    vec![Box::new(act)]
}

/// The number of a message, which is copied out as receivers do.
fn number(incoming: &mut Incoming<'_>, buffer: &mut [u8]) -> u64 {
    let into = match incoming.take_bulk() {
        Some(bulk) => {
            let into = &mut buffer[..bulk.len];
            bulk.region.read(bulk.offset, into).expect("a region");
            into
        }
        None => {
            let into = &mut buffer[..incoming.len()];
            incoming.read(into);
            into
        }
    };
    u64::from_le_bytes(into[8..16].try_into().expect("eight bytes"))
}

/// Replies to who asked under a number; how many have it.
pub(crate) fn reply(end: &Endpoint, (asker, number): (u64, u64), said: Said) -> usize {
    let route = end.sender().intern_reply(asker).expect("a route");
    let body = said.body(Size::Short);
    let mut out = Outgoing::new(route, TYPE, Payload::Inline(&body), Overflow::Block).expect("a message");
    out.correlate(number, false);
    loop {
        match end.sender().try_send(&mut out).expect("a reply") {
            Progress::Done(reached) => return reached,
            Progress::Blocked => {
                let _ = out.wait(deadline(LONG));
            }
        }
    }
}
