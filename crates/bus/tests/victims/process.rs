//! A victim as its parent sees it: started, told to begin, followed in one of its threads, killed, and what it had told.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::script::SCRIPT;

const BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Victim {
    pub(crate) bus: String,
    child: Child,
    gate: ChildStdin,
    told: ChildStdout,
    /// What it told, and the beginning of what is not a line yet.
    text: String,
    dead: bool,
}

impl Victim {
    /// Starts this program again; it does what `script` says and tells as it goes.
    pub(crate) fn start(bus: &str, name: char, script: &str) -> Victim {
        Victim::play(bus, SCRIPT, &format!("{bus} {name} {script}"))
    }

    /// Starts this program again with a part in its environment.
    pub(crate) fn play(bus: &str, variable: &str, part: &str) -> Victim {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .env(variable, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (gate, told) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Victim { bus: bus.to_owned(), child, gate, told, text: String::new(), dead: false }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Lets it go on.
    pub(crate) fn go(&mut self) {
        self.gate.write_all(b".").expect("the victim waits");
    }

    /// Waits until it has told this.
    pub(crate) fn wait(&mut self, line: &str) {
        let end = Instant::now() + BOUND;
        while !self.has_told(line) {
            assert!(Instant::now() < end, "the victim does not say {line:?}, but {:?}", self.text);
            assert!(self.read(PollTimeout::from(100_u8)), "the victim ended, having said {:?}", self.text);
        }
    }

    /// Whether it has told this by now.
    pub(crate) fn has_told(&mut self, line: &str) -> bool {
        while self.is_readable(PollTimeout::ZERO) && self.read(PollTimeout::ZERO) {}
        self.text.lines().any(|told| told == line)
    }

    /// The first line that begins so, without its beginning; waits for it, up to a bound.
    pub(crate) fn answer(&mut self, beginning: &str, bound: Duration) -> Result<String, String> {
        let end = Instant::now() + bound;
        loop {
            let more = self.read(PollTimeout::ZERO);
            let found = self.text.lines().filter(|_| self.text.ends_with('\n'));
            if let Some(line) = found.filter_map(|line| line.strip_prefix(beginning)).next() {
                return Ok(line.trim().to_owned());
            }
            if !more {
                return Err(format!("it ended, having said {:?}", self.text));
            }
            if Instant::now() >= end {
                return Err(format!("it says no {beginning:?} in time, only {:?}", self.text));
            }
            self.is_readable(PollTimeout::from(20_u8));
        }
    }

    /// How many lines it has told that are this.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.text.lines().filter(|told| *told == line).count()
    }

    /// The numbers that follow a word, in order.
    pub(crate) fn told(&self, word: &str) -> Vec<u64> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        lines.map(|number| number.parse().expect("a number")).collect()
    }

    fn is_readable(&self, timeout: PollTimeout) -> bool {
        let mut sources = [PollFd::new(self.told.as_fd(), PollFlags::POLLIN)];
        poll(&mut sources, timeout).is_ok_and(|count| count > 0)
    }

    /// `false`: there is nothing more to come.
    fn read(&mut self, timeout: PollTimeout) -> bool {
        if !self.is_readable(timeout) {
            return true;
        }
        let mut some = [0; 4096];
        match self.told.read(&mut some) {
            Ok(0) | Err(_) => false,
            Ok(len) => {
                self.text.push_str(std::str::from_utf8(&some[..len]).expect("plain text"));
                true
            }
        }
    }

    /// The id of one of its threads by name; the first thread has the program's.
    pub(crate) fn thread(&self, name: &str) -> i32 {
        let tasks = format!("/proc/{}/task", self.child.id());
        for task in fs::read_dir(tasks).expect("its threads").flatten() {
            if fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name) {
                return task.file_name().to_string_lossy().parse().expect("a number");
            }
        }
        panic!("it has no thread {name}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is there");
    }

    /// Kills it and waits until it is gone. What it had told is complete then.
    pub(crate) fn kill(&mut self) {
        if !std::mem::replace(&mut self.dead, true) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            while self.read(PollTimeout::ZERO) && self.is_readable(PollTimeout::ZERO) {}
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}
