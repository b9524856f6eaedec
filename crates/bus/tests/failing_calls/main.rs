//! System calls that fail, one after the other: a real process is followed by ptrace through an operation on a bus, one of its
//! calls is not made and ends with an error that its manual names, and nothing else is done to it.
//!
//! The operation then ends well by another way, or with an error that says what the system said; nobody panics or waits
//! for ever; the same operation works at once when it is done again; nobody else notices; and when the endpoint is
//! closed its process has open and mapped what it has without any failure.
//!
//! `IPMB_COUNT` sites are chosen by `IPMB_SEED` (all, if there are no more); `IPMB_CASE` is one: `join/user@12!24` is the call
//! after 12 others of the calling thread in `join`, with errno 24.

mod attempt;
mod errors;
#[path = "../victims/mod.rs"]
mod victims;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipmb_bus::Endpoint;

use victims::leaks::{self, Holdings};
use victims::process::Victim;
use victims::script;
use victims::speech::{self, Said, Size, arrive, hear};
use victims::tracer::{Call, MARK, Meanwhile, Reached, Tracer};
use victims::trial::{Chance, Order};
use victims::workers;

/// Sites that `make test` has the time for: as a rule all there are.
const COUNT: usize = 2000;
/// Bound for one answer of a victim, which gives up by itself before.
const BOUND: Duration = Duration::from_secs(8);

struct Operation {
    name: &'static str,
    /// Its threads that are followed.
    core: bool,
    /// What comes before.
    before: &'static str,
    /// It is there before the others, and plays controller.
    founds: bool,
    /// Messages that wait for it.
    messages: usize,
    size: Size,
    /// Another process plays controller, and is killed when it begins.
    succeeds: bool,
}

const PLAIN: Operation =
    Operation { name: "", core: false, before: "join", founds: false, messages: 0, size: Size::Short, succeeds: false };

const OPERATIONS: &[(&str, Operation)] = &[
    ("join", Operation { name: "join", before: "", ..PLAIN }),
    ("join, core thread", Operation { name: "join", before: "warm", core: true, ..PLAIN }),
    ("found", Operation { name: "join", before: "", founds: true, ..PLAIN }),
    ("found, core thread", Operation { name: "join", before: "warm", core: true, founds: true, ..PLAIN }),
    ("first send", Operation { name: "send", ..PLAIN }),
    ("send and ring", Operation { name: "send", before: "join send", ..PLAIN }),
    ("large payload", Operation { name: "large", before: "join send", ..PLAIN }),
    ("objects", Operation { name: "objects", before: "join send", ..PLAIN }),
    ("park", Operation { name: "park", ..PLAIN }),
    ("first recv", Operation { name: "recv", messages: 4, ..PLAIN }),
    ("sleep", Operation { name: "recv", ..PLAIN }),
    ("recv large", Operation { name: "recv", messages: 4, size: Size::Large, ..PLAIN }),
    ("request", Operation { name: "request", ..PLAIN }),
    ("watch", Operation { name: "watch", ..PLAIN }),
    ("leave", Operation { name: "leave", before: "join send park", ..PLAIN }),
    ("take over, core thread", Operation { name: "office", core: true, succeeds: true, ..PLAIN }),
    ("register, core thread", Operation { name: "register", core: true, succeeds: true, ..PLAIN }),
];

fn main() -> ExitCode {
    attempt::play();
    script::play();
    if cfg!(debug_assertions) {
        println!("failing_calls: run with --release, as deaths is");
        return ExitCode::SUCCESS;
    }
    workers::work(try_site);
    let order = Order::read();
    if let Some(case) = order.case.as_ref().filter(|case| case.contains('@')) {
        return match try_site(case) {
            Ok(verdict) => {
                println!("{case}: {verdict}");
                ExitCode::SUCCESS
            }
            Err(text) => {
                order.violation(case, &text);
                ExitCode::FAILURE
            }
        };
    }
    all(&order)
}

fn all(order: &Order) -> ExitCode {
    let begun = Instant::now();
    let mut sites = Vec::new();
    for (title, operation) in OPERATIONS {
        if order.case.as_ref().is_some_and(|case| !title.starts_with(&**case)) {
            continue;
        }
        let calls = Scene::new(operation).calls();
        for (at, &call) in calls.iter().enumerate() {
            sites.extend(errors::plausible(call).iter().map(|errno| format!("{title}@{at}!{errno}")));
        }
    }
    let (all, count) = (sites.len(), order.count.unwrap_or(COUNT));
    let mut chance = Chance(order.seed);
    while sites.len() > count {
        sites.swap_remove(chance.below(sites.len()));
    }
    println!("{} sites of {all}, seed {}", sites.len(), order.seed);
    let sum = workers::hand_out(&sites, order);
    order.figure("sites", sites.len());
    order.figure("violations", sum.failures);
    for (verdict, times) in &sum.verdicts {
        order.figure(verdict, times);
    }
    order.figure("seconds", begun.elapsed().as_secs());
    if sum.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One who listens all the time, in a thread of its own.
struct Listener {
    heard: Arc<Mutex<Vec<Said>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(end: Endpoint) -> Listener {
        let (heard, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop) = (heard.clone(), over.clone());
        let listen = move || {
            while !stop.load(Ordering::Relaxed) {
                let Ok(Some(heard)) = hear(&end, Some(Duration::from_millis(5))) else { continue };
                let heard = heard.expect("what arrives is sound");
                if let Some(asked) = heard.asked {
                    script::reply(&end, asked, Said { from: 'a', to: heard.said.from, number: heard.said.number });
                }
                log.lock().unwrap_or_else(PoisonError::into_inner).push(heard.said);
            }
        };
        Listener { heard, over, thread: Some(std::thread::spawn(listen)) }
    }

    fn numbers(&self, from: char) -> Vec<u64> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|said| said.from == from).map(|said| said.number).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the listener does not panic");
        }
    }
}

/// A victim at its gate, on a bus with `a`, who listens, and `b`.
struct Scene<'a> {
    operation: &'a Operation,
    bus: String,
    /// Stops before its endpoint is closed.
    listener: Listener,
    a: Endpoint,
    b: Endpoint,
    /// Numbers of what was said to the victim, and by `b`.
    said: u64,
    controller: Option<Victim>,
    victim: Victim,
}

impl Meanwhile for Scene<'_> {
    fn blocked(&mut self) -> bool {
        // Who sleeps in `recv` is to be woken.
        if self.operation.name == "recv" && self.said == 0 {
            self.say(1);
        }
        !self.operation.core || self.victim.answer("first ", Duration::ZERO).is_err()
    }
}

impl Scene<'_> {
    fn new(operation: &Operation) -> Scene<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bus = format!("failing.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let controller = operation.succeeds.then(|| {
            let mut controller = Victim::start(&bus, 'c', "join gate");
            controller.wait("ready");
            controller
        });
        let start = || Victim::play(&bus, attempt::ATTEMPT, &format!("{bus} {} {}", operation.name, operation.before));
        let early = operation.founds.then(start);
        // The victim follows, or founds; else `a` is controller.
        let register = operation.name == "register";
        let affinity = register || !(operation.succeeds || operation.founds);
        let (a, b) = match operation.founds {
            // They come when it is there.
            true => {
                let elsewhere = format!("{bus}.others");
                (arrive(&elsewhere, 'a', true).expect("join"), arrive(&elsewhere, 'b', true).expect("join"))
            }
            false => (arrive(&bus, 'a', affinity).expect("join"), arrive(&bus, 'b', affinity).expect("join")),
        };
        let listener = Listener::start(a.clone());
        let mut victim = early.unwrap_or_else(start);
        victim.wait("ready");
        let mut scene = Scene { operation, bus: bus.clone(), listener, a, b, said: 0, controller, victim };
        scene.say(operation.messages);
        scene
    }

    fn say(&mut self, count: usize) {
        for _ in 0..count {
            let said = Said { from: 'a', to: 'v', number: self.said };
            speech::say(&self.a, said, self.operation.size, speech::LONG).expect("a sends");
            self.said += 1;
        }
    }

    /// Follows the victim up to where the operation begins. `None`: that thread has no part in it.
    fn follow(&mut self) -> Option<Tracer> {
        let process = self.victim.pid();
        let (thread, mark) = match self.operation.core {
            false => (process.as_raw(), Some(MARK)),
            true => (self.victim.thread("ipmb-core"), None),
        };
        let mut tracer = Tracer::seize(process, thread, mark);
        if self.operation.core {
            tracer.hold(self);
        }
        self.victim.go();
        self.controller = None;
        (tracer.begin(self) == Reached::There).then_some(tracer)
    }

    fn calls(mut self) -> Vec<Call> {
        self.follow().map_or(Vec::new(), |mut tracer| tracer.calls(&mut self))
    }

    /// After the operation: what it said of it, that it works again, and that nothing else is different.
    fn judge(mut self, failed: Option<(Call, i32)>, expected: Option<&Holdings>) -> Result<(String, Holdings), String> {
        let first = self.victim.answer("first ", BOUND)?;
        if self.operation.name == "recv" {
            self.say(2);
        }
        self.victim.go();
        let second = self.victim.answer("second ", BOUND)?;
        if let Ok(panic) = self.victim.answer("panic ", Duration::ZERO) {
            return Err(format!("it panicked: {panic}"));
        }
        if second != "ok" {
            return Err(format!("done again: {second} (first: {first})"));
        }
        if first != "ok" {
            let errno = failed.map_or(0, |(_, errno)| errno);
            let says = std::io::Error::from_raw_os_error(errno).to_string();
            let named = first.contains(&says) || first.contains("open files") || first.contains("descriptors");
            if !named {
                return Err(format!("the error is {first:?}"));
            }
        }
        self.others_are_well()?;
        self.victim.go();
        self.victim.answer("closed", BOUND)?;
        let process = self.victim.pid().to_string();
        let holdings = match expected {
            None => leaks::least_of(&process, || ()),
            Some(expected) => {
                leaks::settle_of(&process, expected, Duration::from_secs(3), || ())?;
                Holdings::new()
            }
        };
        Ok((if first == "ok" { "success by another way".to_owned() } else { "an error".to_owned() }, holdings))
    }

    /// What was sent has come, once; what was not, has not; and those who talk do.
    fn others_are_well(&mut self) -> Result<(), String> {
        let sent = self.victim.count("sent") as u64;
        let whole: Vec<_> = (0..sent).collect();
        let end = Instant::now() + Duration::from_secs(5);
        let said = Said { from: 'b', to: 'a', number: 0 };
        speech::say(&self.b, said, Size::Short, speech::LONG).map_err(|error| format!("b cannot send: {error}"))?;
        let newcomer = arrive(&self.bus, 'n', true).map_err(|error| format!("nobody can join: {error}"))?;
        drop(newcomer);
        if self.operation.founds {
            return Ok(());
        }
        loop {
            let (mine, others) = (self.listener.numbers('v'), self.listener.numbers('b'));
            if mine == whole && others.len() == 1 {
                return Ok(());
            }
            if mine.len() > whole.len() || Instant::now() > end {
                return Err(format!("{sent} were sent, {mine:?} came; of the others' {others:?}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// What a victim has left when it has closed, without any failure; learned once for each operation.
fn reference(title: &'static str, operation: &Operation) -> Result<Holdings, String> {
    use std::collections::HashMap;
    static KNOWN: Mutex<Option<HashMap<&'static str, Holdings>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if !known.contains_key(title) {
        let mut scene = Scene::new(operation);
        scene.victim.go();
        scene.controller = None;
        if operation.name == "recv" && scene.said == 0 {
            scene.say(1);
        }
        known.insert(title, scene.judge(None, None)?.1);
    }
    Ok(known[title].clone())
}

fn try_site(site: &str) -> Result<String, String> {
    let parse = || {
        let (name, place) = site.split_once('@')?;
        let (at, errno) = place.split_once('!')?;
        let (title, operation) = OPERATIONS.iter().find(|(title, _)| *title == name)?;
        Some((*title, operation, at.parse::<usize>().ok()?, errno.parse::<i32>().ok()?))
    };
    let (title, operation, at, errno) = parse().ok_or_else(|| format!("no such site: {site}"))?;
    let expected = reference(title, operation)?;
    let mut scene = Scene::new(operation);
    let Some(tracer) = scene.follow() else { return Ok("the thread had no part".to_owned()) };
    let failed = tracer.fail(at, errno, |call| errors::plausible(call).contains(&errno), &mut scene);
    if operation.name == "recv" && scene.said == 0 {
        scene.say(1);
    }
    let named = failed.map_or("none".to_owned(), |call| errors::name(call.number));
    match scene.judge(failed.map(|call| (call, errno)), Some(&expected)) {
        Ok(_) if failed.is_none() => Ok("other calls this time".to_owned()),
        Ok((verdict, _)) => Ok(verdict),
        Err(text) => Err(format!("{named} failed with {}: {text}", std::io::Error::from_raw_os_error(errno))),
    }
}
