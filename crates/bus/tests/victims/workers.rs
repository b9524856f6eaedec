//! Places are worked off by some processes for each processor: none disturbs another, and one that dies of what it finds takes
//! no other with it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::trial::Order;

/// Set in a process that works off places it is told, by number of its processor.
const WORKER: &str = "IPMB_WORKER";

/// Most of the time of a place is spent waiting for what is closed to be gone: meanwhile others are looked at.
const PER_PROCESSOR: usize = 3;

/// How it went: places that were wrong, and how often each verdict was given otherwise.
pub(crate) struct Sum {
    pub(crate) failures: usize,
    pub(crate) verdicts: std::collections::BTreeMap<String, usize>,
}

/// Has a process for each processor work them off.
pub(crate) fn hand_out(points: &[String], order: &Order) -> Sum {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let workers = PER_PROCESSOR * processors;
    let (tell, told) = mpsc::channel();
    let mut children = Vec::new();
    for worker in 0..workers {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(WORKER, (worker % processors).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (mut gate, lines) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let share: Vec<_> = points.iter().skip(worker).step_by(workers).cloned().collect();
        let tell = tell.clone();
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
            for point in share {
                let sent = writeln!(gate, "{point}");
                let verdict =
                    sent.ok().and_then(|()| lines.next()).unwrap_or("wrong: the process that looked ended".to_owned());
                let over = verdict == "wrong: the process that looked ended";
                if tell.send((point, verdict)).is_err() || over {
                    return;
                }
            }
        });
        children.push((child, reader));
    }
    drop(tell);
    let (mut done, mut sum) = (0, Sum { failures: 0, verdicts: Default::default() });
    for (point, verdict) in told {
        done += 1;
        match verdict.strip_prefix("wrong: ") {
            None => *sum.verdicts.entry(verdict).or_default() += 1,
            Some(wrong) => {
                sum.failures += 1;
                order.violation(&point, wrong);
            }
        }
        if done % 50 == 0 || done == points.len() {
            order.progress(done, points.len());
        }
    }
    for (mut child, reader) in children {
        let _ = reader.join();
        end(&mut child);
    }
    // What a process that ended had before it.
    sum.failures += points.len() - done;
    sum
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The follower and the followed take turns; on one processor they do so without waking each other across processors.
pub(crate) fn pin(place: usize) {
    let mut set = CpuSet::new();
    if set.set(place).is_ok() {
        // Where that processor is not ours to use it goes on wherever it may, only slower.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// In a process that was started to work, works off the places that come in on stdin; a line for each. It does not return.
pub(crate) fn work(look: impl Fn(&str) -> Result<String, String>) {
    let Ok(place) = std::env::var(WORKER) else { return };
    pin(place.parse().expect("a number"));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match look(&line) {
            Ok(verdict) => println!("{verdict}"),
            Err(text) => println!("wrong: {}", text.replace('\n', " ")),
        }
    }
    std::process::exit(0);
}
