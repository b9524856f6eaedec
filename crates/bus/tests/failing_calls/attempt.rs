//! What the victim does: an operation while one of its system calls fails, and once more while none does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::time::Duration;

use ipmb_bus::error::SendError;
use ipmb_bus::wait::{deadline, is_over};
use ipmb_bus::{Endpoint, Options, Outcome, Outgoing, Overflow, Payload, Progress, join};
use ipmb_transport::sys::Fd;

use crate::victims::speech::{Said, Size, TYPE, hear, to, understand};

/// Set in the environment of a victim: bus, operation, and what comes before.
pub(crate) const ATTEMPT: &str = "IPMB_ATTEMPT";
/// Bound for one attempt: longer than anything waits that a failure may delay.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(3));

struct Attempt {
    bus: String,
    end: Option<Endpoint>,
    next: u64,
    out: File,
}

/// Plays the part of this process, if it has one.
pub(crate) fn play() {
    let Ok(part) = std::env::var(ATTEMPT) else { return };
    let mut words = part.split_whitespace();
    let (bus, operation) = (words.next().expect("a bus"), words.next().expect("an operation"));
    let stdout = io::stdout().as_fd().try_clone_to_owned().expect("a descriptor");
    let mut attempt = Attempt { bus: bus.to_owned(), end: None, next: 0, out: File::from(stdout) };
    let panicked = attempt.out.try_clone().expect("a descriptor");
    std::panic::set_hook(Box::new(move |panic| {
        let text = format!("panic {panic}").replace('\n', " ");
        let _ = (&panicked).write_all(format!("{text}\n").as_bytes());
    }));
    for word in words {
        attempt.act(word).expect("what comes before");
    }
    attempt.tell("ready");
    io::stdin().read_exact(&mut [0]).expect("the gate");
    let _ = parent_id();
    let first = attempt.act(operation);
    let _ = parent_id();
    attempt.tell(&format!("first {}", first.err().unwrap_or("ok".to_owned())));
    io::stdin().read_exact(&mut [0]).expect("the second gate");
    let second = attempt.act(operation);
    attempt.tell(&format!("second {}", second.err().unwrap_or("ok".to_owned())));
    io::stdin().read_exact(&mut [0]).expect("the third gate");
    attempt.end = None;
    attempt.tell("closed");
    let _ = io::stdin().read_exact(&mut [0]);
    std::process::exit(0);
}

impl Attempt {
    fn tell(&mut self, line: &str) {
        let _ = self.out.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
    }

    fn end(&self) -> Result<&Endpoint, String> {
        self.end.as_ref().ok_or_else(|| "it has not joined".to_owned())
    }

    fn act(&mut self, operation: &str) -> Result<(), String> {
        match operation {
            "warm" => self.join(&format!("{}.warm", self.bus)).map(|()| self.end = None),
            "join" => self.join(&self.bus.clone()),
            "leave" => {
                if self.end.is_none() {
                    self.join(&self.bus.clone())?;
                }
                self.end()?.close();
                self.end = None;
                Ok(())
            }
            "send" => self.send(Size::Short, Vec::new()),
            "large" => self.send(Size::Large, Vec::new()),
            "objects" => {
                let file = File::open("/dev/null").map_err(|error| error.to_string())?;
                self.send(Size::Short, vec![Fd::adopt(file.into())])
            }
            "park" => {
                let end = self.end()?;
                let body = Said { from: 'v', to: 'w', number: 0 }.body(Size::Short);
                send(end, 'w', &body, Vec::new()).map(drop).map_err(|error| error.to_string())
            }
            "recv" => {
                let heard = hear(self.end()?, PATIENCE).map_err(|error| error.to_string())?;
                let number = heard.ok_or("no message in time")??.said.number;
                self.tell(&format!("heard {number}"));
                Ok(())
            }
            "request" => self.request(),
            "watch" => {
                let watch = self.end()?.watch().map_err(|error| error.to_string())?;
                drop(watch);
                Ok(())
            }
            // The controller is killed meanwhile.
            "office" => self.wait("no office", |end| end.is_controller()),
            "register" => self.wait("the old controller is there", |end| {
                end.peers().is_ok_and(|peers| !peers.iter().any(|peer| peer.info.label.contains("c")))
            }),
            other => panic!("what is {other}?"),
        }
    }

    fn join(&mut self, bus: &str) -> Result<(), String> {
        // Whoever joins again has left before.
        self.end = None;
        let label = ipmb_bus::label::Label::new(["v"]).map_err(|error| error.to_string())?;
        self.end = Some(join(Options::new(bus, label), PATIENCE).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn send(&mut self, size: Size, objects: Vec<Fd>) -> Result<(), String> {
        let body = Said { from: 'v', to: 'a', number: self.next }.body(size);
        let reached = send(self.end()?, 'a', &body, objects).map_err(|error| error.to_string())?;
        if reached != 1 {
            return Err(format!("it reached {reached}"));
        }
        self.next += 1;
        self.tell("sent");
        Ok(())
    }

    fn request(&mut self) -> Result<(), String> {
        let said = Said { from: 'v', to: 'a', number: self.next };
        let text = |error: SendError| error.to_string();
        let (end, body) = (self.end()?.clone(), said.body(Size::Short));
        let asking = end.sender().asking().map_err(text)?;
        let number = asking.begin().map_err(text)?;
        let route = end.sender().intern_request(&to('a')).map_err(text)?;
        let mut out = Outgoing::new(route, TYPE, Payload::Inline(&body), Overflow::Block).map_err(text)?;
        out.correlate(number, true);
        let late = deadline(PATIENCE);
        while !matches!(end.sender().try_send(&mut out).map_err(text)?, Progress::Done(1)) {
            if is_over(late) {
                end.sender().abandon(&mut out);
                return Err("no room in time".to_owned());
            }
            let _ = out.wait(late);
        }
        self.next += 1;
        self.tell("sent");
        while !is_over(late) {
            let outcomes = asking.poll(understand).map_err(|error| error.to_string())?;
            if let Some((_, outcome)) = outcomes.into_iter().next() {
                return match outcome {
                    Outcome::Reply(reply) => reply.map(drop),
                    Outcome::Lost { .. } => Err("it is lost".to_owned()),
                };
            }
            let _ = asking.park(late);
        }
        Err("no reply in time".to_owned())
    }

    fn wait(&self, what: &str, done: impl Fn(&Endpoint) -> bool) -> Result<(), String> {
        let late = deadline(PATIENCE);
        while !done(self.end()?) {
            if is_over(late) {
                return Err(what.to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn send(end: &Endpoint, name: char, body: &[u8], objects: Vec<Fd>) -> Result<usize, SendError> {
    end.sender().send(&to(name), TYPE, body, objects, PATIENCE, Overflow::Block)
}
