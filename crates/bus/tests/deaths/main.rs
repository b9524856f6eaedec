//! Deaths at every instruction: a real process is followed by ptrace and killed after one instruction after another of
//! what it does on a bus, and who is left finds everything as it should be.
//!
//! `IPMB_COUNT` places are chosen by `IPMB_SEED` out of all there are; places of short operations are all taken before those
//! of long ones are. `IPMB_CASE` is one place, as a failure has named it: `push@2+17` is 17 instructions after the second
//! system call of the operation `push`, `pop@4+asleep` within its fifth, while it waits there. A name alone is all places of the operations whose names begin so.
//!
//! To be run with optimised code: `cargo test --release -p ipmb-bus --test deaths`.

mod cases;
#[path = "../victims/mod.rs"]
mod victims;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use cases::{CASES, Case, Thread};
use victims::leaks::Holdings;
use victims::script;
use victims::tracer::{MARK, Meanwhile, Point, Reached, Steps, Stretch, Tracer};
use victims::trial::{Chance, Order};
use victims::workers;
use world::{Scene, World};

/// Places that `make test` has the time for.
const COUNT: usize = 2000;
/// Instructions after a system call that are looked at in long operations: a step costs 3 to 60 microseconds, and what comes
/// later is mostly a long computation.
const REACH: usize = 1500;

fn main() -> ExitCode {
    script::play();
    if cfg!(debug_assertions) {
        println!("deaths: nothing is followed in code that is not optimised; use --release");
        return ExitCode::SUCCESS;
    }
    workers::work(|place| match die(place)? {
        Reached::There => Ok("there".to_owned()),
        Reached::Over => Ok("over".to_owned()),
    });
    let order = Order::read();
    if let Some(case) = order.case.as_ref().filter(|case| case.contains('@')) {
        return match die(case) {
            Ok(reached) => {
                println!("{case}: nothing wrong ({reached:?})");
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

/// Everything: learn what there is, choose, hand out, sum up.
fn all(order: &Order) -> ExitCode {
    let begun = Instant::now();
    workers::pin(0);
    let wanted = |case: &&Case| order.case.as_ref().is_none_or(|name| case.name.starts_with(&**name));
    let learned: Vec<_> = CASES.iter().filter(wanted).map(|case| (case, learn(case))).collect();
    if let Some(wanted) = std::env::var_os("IPMB_LEARN") {
        for (case, stretches) in &learned {
            let instructions: usize = stretches.iter().map(|stretch| stretch.instructions).sum();
            println!("{}: {} calls, {instructions} instructions", case.name, stretches.len());
            if wanted == "all" {
                println!("  {stretches:?}");
            }
        }
    }
    let learning = begun.elapsed();
    let (points, boundaries) = choose(&learned, order);
    println!("{} places of {boundaries}, seed {}, learned in {learning:.1?}", points.len(), order.seed);
    let sum = workers::hand_out(&points, order);
    order.figure("ended before the place", sum.verdicts.get("over").unwrap_or(&0));
    order.figure("points", points.len());
    order.figure("boundaries", boundaries);
    order.figure("violations", sum.failures);
    order.figure("seconds", begun.elapsed().as_secs());
    if sum.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where a process can die in each of the operations, and those that are chosen.
fn choose(learned: &[(&Case, Vec<Stretch>)], order: &Order) -> (Vec<String>, usize) {
    let mut all: Vec<(&Case, Vec<String>)> = Vec::new();
    for (case, stretches) in learned {
        let mut places = Vec::new();
        for (calls, stretch) in stretches.iter().enumerate() {
            let instructions = if case.short { stretch.instructions } else { REACH };
            places.extend((0..=instructions).map(|steps| format!("{}@{calls}+{steps}", case.name)));
            if stretch.sleeps {
                places.push(format!("{}@{calls}+asleep", case.name));
            }
        }
        all.push((case, places));
    }
    let boundaries = all.iter().map(|(_, places)| places.len()).sum();
    let (count, mut chance) = (order.count.unwrap_or(COUNT), Chance(order.seed));
    let mut chosen = Vec::new();
    // Short operations first: with enough to choose, all places of those, and of the others what is left.
    for (short, most) in [(true, count / 2), (false, count)] {
        let mut places: Vec<_> = all.iter().filter(|(case, _)| case.short == short).map(|(_, places)| places).collect();
        places.sort_by_key(|places| places.len());
        let (kinds, mut left) = (places.len(), most.saturating_sub(chosen.len()));
        for (done, places) in places.into_iter().enumerate() {
            let share = (left / (kinds - done)).min(places.len());
            left -= share;
            // One of each part of equal length: spread over all of it, and by chance all the same.
            for part in 0..share {
                let (from, to) = (part * places.len() / share, (part + 1) * places.len() / share);
                chosen.push(places[from + chance.below(to - from)].clone());
            }
        }
    }
    (chosen, boundaries)
}

/// The survivors' part while the victim is followed.
struct Around<'a> {
    case: &'a Case,
    scene: &'a mut Scene,
}

impl Meanwhile for Around<'_> {
    fn blocked(&mut self) -> bool {
        self.scene.world.iter_mut().for_each(self.case.help);
        self.case.thread == Thread::User || !self.scene.victim.has_told("done")
    }

    fn half_way(&mut self) {
        if !self.case.notices {
            self.scene.world.iter_mut().for_each(self.case.half_way);
        }
    }
}

/// Follows the victim up to where the operation begins.
fn follow(case: &Case, scene: &mut Scene) -> (Tracer, Reached) {
    let process = scene.victim.pid();
    let (thread, mark) = match case.thread {
        Thread::User => (process.as_raw(), Some(MARK)),
        Thread::Core => (scene.victim.thread("ipmb-core"), None),
    };
    let mut tracer = Tracer::seize(process, thread, mark);
    if case.thread == Thread::Core {
        tracer.hold(&mut Around { case, scene });
    }
    scene.victim.go();
    scene.world.iter_mut().for_each(case.begin);
    let reached = tracer.begin(&mut Around { case, scene });
    (tracer, reached)
}

/// What there is between the beginning of an operation and its end.
fn learn(case: &Case) -> Vec<Stretch> {
    let mut scene = Scene::prepare(case);
    let (mut tracer, reached) = follow(case, &mut scene);
    assert!(reached == Reached::There, "{}: nothing happens", case.name);
    tracer.learn(if case.short { usize::MAX } else { 0 }, &mut Around { case, scene: &mut scene })
}

/// Kills a victim at a place, and looks what is left.
fn die(place: &str) -> Result<Reached, String> {
    let parse = || {
        let (name, point) = place.split_once('@')?;
        let (calls, steps) = point.split_once('+')?;
        let steps = match steps {
            "asleep" => Steps::Asleep,
            steps => Steps::Instructions(steps.parse().ok()?),
        };
        Some((CASES.iter().find(|case| case.name == name)?, Point { calls: calls.parse().ok()?, steps }))
    };
    let (case, point) = parse().ok_or_else(|| format!("no such place: {place}"))?;
    let expected = reference(case);
    let mut scene = Scene::prepare(case);
    let (mut tracer, mut reached) = follow(case, &mut scene);
    if reached == Reached::There {
        reached = tracer.go(point, &mut Around { case, scene: &mut scene });
    }
    if case.notices {
        // What has come by now must not be slept through.
        scene.world.iter_mut().for_each(case.half_way);
        tracer.let_go();
        scene.victim.answer("done", world::SOON)?;
    } else {
        drop(tracer);
    }
    scene.judge(case, &expected)?;
    Ok(reached)
}

/// What survivors of a case have open, learned once.
fn reference(case: &Case) -> Holdings {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<Option<HashMap<&'static str, Holdings>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    known.entry(case.name).or_insert_with(|| World::reference(case)).clone()
}
