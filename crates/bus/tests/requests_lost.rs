//! Requests whose receiver leaves or dies: each ends in its reply or in a loss, never in nothing.
//!
//! Those who are killed are processes of their own: this very test program, started again as a worker.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ipmb_bus::error::SendError;
use ipmb_bus::label::Label;
use ipmb_bus::wait::{deadline, is_over};
use ipmb_bus::{Asking, Options, join};
use support::requests::{End, ask, ask_with, ends, nothing_comes, pair, reply, take, wait_for};
use support::{LONG, NOW, bus, endpoint, eventually, recv, to};

#[test]
fn what_a_receiver_leaves_unread_is_lost_and_nobody_else_gets_it() {
    let bus = bus();
    let (asker, worker) = (endpoint(&bus, "asker"), endpoint(&bus, "worker"));
    let asking = asker.sender().asking().unwrap();
    let one = ask(&asker, &asking, "worker", b"one");
    let two = ask(&asker, &asking, "worker", b"two");
    let large = ask(&asker, &asking, "worker", &[3; 100_000]);
    let other = endpoint(&bus, "worker");
    let asked = take(&worker.receiver(), LONG).unwrap();
    worker.receiver().close();
    // What is unread is lost at once; what was read may still be replied to.
    assert_eq!(wait_for(&asking, 2), [(two, End::Lost { read: false }), (large, End::Lost { read: false })]);
    nothing_comes(&asking);
    assert_eq!(reply(&worker, &asked, b"late, not too late"), 1);
    assert_eq!(wait_for(&asking, 1), [(one, End::Reply(b"late, not too late".to_vec()))]);
    assert_eq!(recv(&other, NOW), None);
    assert_eq!(asker.stats().unwrap().redelivered, 0);
}

#[test]
fn what_was_read_is_lost_when_the_one_asked_leaves() {
    let (asker, asking, worker) = pair();
    let one = ask(&asker, &asking, "worker", b"one");
    let two = ask(&asker, &asking, "worker", b"two");
    let first = take(&worker.receiver(), LONG).unwrap();
    take(&worker.receiver(), LONG).unwrap();
    worker.receiver().close();
    nothing_comes(&asking);
    reply(&worker, &first, b"the last word");
    worker.close();
    assert_eq!(wait_for(&asking, 2), [(one, End::Reply(b"the last word".to_vec())), (two, End::Lost { read: true })]);
    let error = ask_with(&asker.sender(), &asking, &to("worker"), b"x", NOW);
    assert!(matches!(error, Err(SendError::NoRoute { .. })), "{error:?}");
}

/// Plays the one asked in a process of its own; does nothing where nobody asks for it.
#[test]
fn worker_process() {
    let Ok(bus) = std::env::var("IPMB_TEST_WORKER") else { return };
    let worker = join(Options::new(bus, Label::new(["worker"]).unwrap()), LONG).unwrap();
    println!("\nready");
    std::io::stdout().flush().unwrap();
    while let Some(asked) = take(&worker.receiver(), None) {
        match &asked.payload[..] {
            b"reply" => {
                reply(&worker, &asked, b"replied");
            }
            b"reply and die" => {
                reply(&worker, &asked, b"the last word");
                std::process::abort();
            }
            b"stop receiving" => {
                reply(&worker, &asked, b"stopped");
                worker.receiver().close();
                std::thread::sleep(Duration::from_secs(60));
            }
            _ => {}
        }
    }
}

struct Worker(Child);

impl Worker {
    fn start(bus: &str) -> Worker {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process", "--nocapture"])
            .env("IPMB_TEST_WORKER", bus)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut worker = Worker(child);
        let out = BufReader::new(worker.0.stdout.take().unwrap());
        let ready = out.lines().map_while(Result::ok).any(|line| line.ends_with("ready"));
        assert!(ready);
        worker
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_killed_process_loses_what_it_was_asked_and_what_it_said_counts() {
    let bus = bus();
    let asker = endpoint(&bus, "asker");
    let asking = asker.sender().asking().unwrap();
    let mut worker = Worker::start(&bus);
    let held = ask(&asker, &asking, "worker", b"hold");
    let replied = ask(&asker, &asking, "worker", b"reply");
    assert_eq!(wait_for(&asking, 1), [(replied, End::Reply(b"replied".to_vec()))]);
    worker.0.kill().unwrap();
    assert_eq!(wait_for(&asking, 1), [(held, End::Lost { read: true })]);
    worker.0.wait().unwrap();
    let worker = Worker::start(&bus);
    let held = ask(&asker, &asking, "worker", b"hold");
    let last = ask(&asker, &asking, "worker", b"reply and die");
    let unread = ask(&asker, &asking, "worker", b"hold");
    let found = wait_for(&asking, 3);
    assert_eq!(found[0], (held, End::Lost { read: true }));
    assert_eq!(found[1], (last, End::Reply(b"the last word".to_vec())));
    assert_eq!(found[2], (unread, End::Lost { read: false }));
    drop(worker.0.wait_with_output());
}

#[test]
fn one_that_only_receives_no_more_is_lost_when_it_dies() {
    let bus = bus();
    let asker = endpoint(&bus, "asker");
    let asking = asker.sender().asking().unwrap();
    let worker = Worker::start(&bus);
    let held = ask(&asker, &asking, "worker", b"hold");
    let stopped = ask(&asker, &asking, "worker", b"stop receiving");
    assert_eq!(wait_for(&asking, 1), [(stopped, End::Reply(b"stopped".to_vec()))]);
    eventually("it is no match any more", || {
        matches!(ask_with(&asker.sender(), &asking, &to("worker"), b"x", NOW), Err(SendError::NoRoute { .. }))
    });
    nothing_comes_of(&asking, held);
    worker.kill();
    assert_eq!(wait_for(&asking, 1), [(held, End::Lost { read: true })]);
}

/// What may come of others does, but not of this one.
fn nothing_comes_of(asking: &Asking, held: u64) {
    let end = deadline(Some(Duration::from_millis(100)));
    while !is_over(end) {
        assert!(ends(asking).unwrap().iter().all(|(number, _)| *number != held));
        asking.park(end).unwrap();
    }
}

#[test]
fn ten_thousand_in_flight_with_a_worker_killed_in_the_middle_all_end() {
    const COUNT: usize = 10_000;
    let bus = bus();
    let asker = endpoint(&bus, "asker");
    let asking = asker.sender().asking().unwrap();
    let workers = [Worker::start(&bus), Worker::start(&bus)];
    let found = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for(&asking, COUNT));
        for number in 0..COUNT {
            ask(&asker, &asking, "worker", b"reply");
            if number == COUNT / 2 {
                let [first, _] = &workers;
                let _ = Command::new("kill").args(["-KILL", &first.0.id().to_string()]).status();
            }
        }
        waiting.join().unwrap()
    });
    let replies = found.iter().filter(|(_, end)| *end == End::Reply(b"replied".to_vec())).count();
    assert!(replies >= COUNT / 2 && found.iter().map(|(number, _)| number).is_sorted(), "{replies} replies");
    workers.into_iter().for_each(Worker::kill);
    nothing_comes(&asking);
}
