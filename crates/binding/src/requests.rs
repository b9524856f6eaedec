//! The requests of one endpoint, by many threads at once or by an event loop.
//!
//! All outcomes come out at one place of the core. Of the threads that wait one, the *leader*, sleeps there and hands out
//! what comes; the others sleep until they have their outcome or have to lead. So a reply wakes one thread, not all. An
//! event loop watches the descriptor and collects; it and threads do not share one endpoint's requests.
//!
//! Python has a table of its own (`ipmb/requests.py`), for signals that end any step of it and handlers that ask in turn.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use ipmb_bus::error::{PeerLost, RecvError, SendError};
use ipmb_bus::{Asking, Incoming, Outcome, Sender, wait};
use ipmb_transport::sys;
use rmp::decode;

use crate::arrival::Arrival;
use crate::failure::{Failure, Kind};
use crate::letter::Letter;
use crate::refusal::{Refusal, named};
use crate::types::{FAILURE, REFUSAL, Type};
use crate::value::{Unfit, Value};

/// How long a leader waits, in nanoseconds, until it looks whether descriptors are free again: nothing tells of it.
const HUNGRY: u64 = 20_000_000;

/// What becomes of a request.
pub type Reply = Result<Arrival, Failure>;

/// The requests of one endpoint.
pub struct Requests {
    asking: Asking,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<u64, Waiter>,
    /// Whether somebody sleeps at the place where outcomes come out.
    led: bool,
}

/// A thread that waits for one reply.
struct Waiter {
    thread: Thread,
    reply: Option<Reply>,
    /// It can be woken to lead; while it waits for room it cannot.
    sleeps: bool,
}

impl Table {
    /// Has somebody look for all who wait, when nobody does.
    fn wake_successor(&self) {
        if let (false, Some(next)) = (self.led, self.waiting.values().find(|waiter| waiter.sleeps)) {
            next.thread.unpark();
        }
    }
}

/// What has come back, still to be judged when its ring is not held any more.
enum Answer {
    Arrival(Arrival),
    No(Refusal),
}

/// Takes a thread's request off the table, however its call ends.
struct Turn<'a> {
    requests: &'a Requests,
    number: u64,
    leads: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut table = self.requests.lock();
        let waiter = table.waiting.remove(&self.number);
        table.led &= !self.leads;
        table.wake_successor();
        drop(table);
        if waiter.is_some_and(|waiter| waiter.reply.is_none()) {
            self.requests.asking.forget(self.number);
        }
    }
}

impl Requests {
    /// Those of the endpoint that a sender belongs to. Make one for an endpoint, or an outcome goes to the other one.
    ///
    /// # Errors
    /// When the sender is closed, the process forked or has no descriptors left.
    pub fn new(core: &Sender) -> Result<Requests, SendError> {
        Ok(Requests { asking: core.asking()?, table: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a request of an event loop, to be sent as a letter to [`To::Asked`](crate::to::To) with this correlation.
    ///
    /// # Errors
    /// When the sender is closed, or the process forked.
    pub fn begin(&self) -> Result<u64, SendError> {
        self.asking.begin()
    }

    /// Nobody waits for this number any more.
    pub fn forget(&self, number: u64) {
        self.asking.forget(number);
    }

    /// A descriptor for event loops, readable whenever [`Requests::collect`] would give something. It stays the endpoint's.
    ///
    /// # Errors
    /// When the sender is closed, or the process forked.
    pub fn fileno(&self) -> Result<i32, SendError> {
        self.asking.fileno()
    }

    /// The same for those who borrow it; of a closed sender it is readable for good.
    ///
    /// # Errors
    /// When the process forked.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, SendError> {
        self.asking.descriptor()
    }

    /// What became of requests since the last call.
    ///
    /// # Errors
    /// [`Kind::TooManyOpenFiles`] when a reply waits whose descriptors find no room: try again after a moment. The others
    /// say that there will be no more.
    pub fn collect(&self) -> Result<Vec<(u64, Reply)>, Failure> {
        let outcomes = self.asking.poll(|incoming: &mut Incoming<'_>| match Type::from_be_bytes(incoming.type_id()) {
            REFUSAL => Answer::No(Refusal::take(incoming)),
            _ => Answer::Arrival(Arrival::take(incoming)),
        });
        // Replies come by a door of the sender's.
        let outcomes = outcomes.map_err(|error| match error {
            RecvError::Closed => Failure::from(SendError::Closed),
            error => error.into(),
        })?;
        Ok(outcomes.into_iter().map(|(number, outcome)| (number, judged(outcome))).collect())
    }

    /// Sends a letter as a request, and waits for its reply until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// What is in the way of sending it; that nobody replied, who was asked is gone, or failed.
    pub fn request(&self, core: &Sender, mut letter: Letter, deadline: Option<u64>) -> Reply {
        let number = self.asking.begin()?;
        letter.correlation = Some((number, true));
        let waiter = Waiter { thread: thread::current(), reply: None, sleeps: false };
        self.lock().waiting.insert(number, waiter);
        let mut turn = Turn { requests: self, number, leads: false };
        match letter.send(core, deadline) {
            Ok(_) => self.wait(&mut turn, deadline),
            Err(SendError::Timeout { .. }) => Err(unsent()),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self, turn: &mut Turn<'_>, deadline: Option<u64>) -> Reply {
        let mut hungry = false;
        loop {
            let over = wait::is_over(deadline);
            {
                let mut table = self.lock();
                let free = !table.led || turn.leads;
                table.led = true;
                turn.leads = free;
                if table.waiting.get(&turn.number).is_some_and(|waiter| waiter.reply.is_some()) {
                    let waiter = table.waiting.remove(&turn.number);
                    return waiter.and_then(|waiter| waiter.reply).unwrap_or_else(|| Err(unanswered(hungry)));
                }
                let Some(waiter) = table.waiting.get_mut(&turn.number) else { return Err(unanswered(hungry)) };
                waiter.sleeps = !turn.leads;
            }
            if over && !turn.leads {
                return Err(unanswered(hungry));
            }
            if !turn.leads {
                match deadline {
                    None => thread::park(),
                    Some(at) => thread::park_timeout(Duration::from_nanos(at.saturating_sub(sys::now()))),
                }
                continue;
            }
            if !over && !hungry && !self.asking.spin() {
                let _ = self.asking.park(deadline);
            }
            hungry = self.hand_out()?;
            if over && self.lock().waiting.get(&turn.number).is_none_or(|waiter| waiter.reply.is_none()) {
                return Err(unanswered(hungry));
            }
            if hungry {
                let left = deadline.map_or(HUNGRY, |at| at.saturating_sub(sys::now()).min(HUNGRY));
                thread::park_timeout(Duration::from_nanos(left));
            }
        }
    }

    /// Gives each waiter what became of its request. Whether there is more, for which this process has no descriptors.
    fn hand_out(&self) -> Result<bool, Failure> {
        let outcomes = match self.collect() {
            Ok(outcomes) => outcomes,
            Err(failure) if failure.kind == Kind::TooManyOpenFiles => return Ok(true),
            Err(failure) => return Err(failure),
        };
        let mut strays = Vec::new();
        let mut table = self.lock();
        for (number, reply) in outcomes {
            match table.waiting.get_mut(&number) {
                Some(waiter) => {
                    waiter.reply = Some(reply);
                    waiter.thread.unpark();
                }
                None => strays.push(reply),
            }
        }
        drop(table);
        // Closing what came with them takes its time.
        drop(strays);
        Ok(false)
    }
}

fn judged(outcome: Outcome<Answer>) -> Reply {
    match outcome {
        Outcome::Reply(Answer::No(refusal)) => Err(refusal.into()),
        Outcome::Reply(Answer::Arrival(arrival)) if arrival.type_id == FAILURE => Err(remote(arrival)),
        Outcome::Reply(Answer::Arrival(arrival)) => Ok(arrival),
        Outcome::Lost { peer, read } => Err(PeerLost { who: named(&peer), read }.into()),
    }
}

fn unsent() -> Failure {
    let text =
        "the request was not sent in time: nobody matches, or whoever does reads too slowly; give a longer timeout";
    Failure::new(Kind::RecvTimeout, text)
}

fn unanswered(hungry: bool) -> Failure {
    if hungry {
        let text = "a reply came, and needs more descriptors than this process may still open: close some files (or raise \
                    ulimit -n), and ask again if doing it twice does no harm";
        return Failure::new(Kind::TooManyOpenFiles, text);
    }
    let text = "no reply in time: whoever was asked is slow, stopped, or does not reply; give a longer timeout, or ask again \
                if doing it twice does no harm";
    Failure::new(Kind::RecvTimeout, text)
}

/// What replies to a request that it failed: the kind of error, mostly the name of its class, and its text.
///
/// # Errors
/// When one of them is 4 GiB or longer.
pub fn failure(kind: &str, text: &str) -> Result<(Type, Vec<u8>), Unfit> {
    let field = |name: &str, value: &str| (Value::Str(name.to_owned()), Value::Str(value.to_owned()));
    let fields = vec![field("type", kind), field("text", text), field("traceback", "")];
    Value::Typed(FAILURE, Box::new(Value::Dict(fields))).encode()
}

/// The error of a handler, as its reply tells it.
fn remote(arrival: Arrival) -> Failure {
    let garbage = arrival.garbage("failure");
    let who = named(&arrival.sender);
    let Ok(bytes) = arrival.content.into_bytes() else { return garbage };
    match fields(&bytes) {
        Some((kind, "")) => Failure::new(Kind::Remote, format!("{kind}, in the handler of {who}")),
        Some((kind, text)) => Failure::new(Kind::Remote, format!("{kind}: {text}, in the handler of {who}")),
        None => garbage,
    }
}

/// `type` and `text` of a map of texts.
fn fields(mut bytes: &[u8]) -> Option<(&str, &str)> {
    let (mut kind, mut text) = (None, None);
    for _ in 0..decode::read_map_len(&mut bytes).ok()? {
        let (name, rest) = decode::read_str_from_slice(bytes).ok()?;
        let (value, rest) = decode::read_str_from_slice(rest).ok()?;
        bytes = rest;
        match name {
            "type" => kind = Some(value),
            "text" => text = Some(value),
            _ => {}
        }
    }
    Some((kind?, text?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_as_it_is_written() {
        let (_, told) = failure("OSError", "no such file").unwrap();
        assert_eq!(fields(&told), Some(("OSError", "no such file")));
    }

    #[test]
    fn a_failure_is_read_and_nothing_is_believed() {
        let told = b"\x83\xa4type\xaaValueError\xa4text\xa3bad\xa9traceback\xa0";
        assert_eq!(fields(told), Some(("ValueError", "bad")));
        for len in 0..told.len() {
            assert_eq!(fields(&told[..len]), None, "{len} bytes");
        }
        assert_eq!(fields(b"\xdf\xff\xff\xff\xff"), None, "a length that is not there");
        assert_eq!(fields(b"\x80"), None);
    }
}
