//! What an environment waits for, behind one descriptor.
//!
//! Each wait stands here once, under a number of the face's, with what its descriptor belongs to: that cannot go while the wait
//! lasts. A wait ends when it is told of, so nothing is told of that nobody waits for, and the loop is quiet when all is. The
//! descriptors promise to be readable whenever a try would succeed, so a wait that begins after a try in vain misses nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use ipmb_binding::requests;
use ipmb_bus as bus;
use ipmb_transport::sys::{Events, Interest, Poller};
use napi::bindgen_prelude::{Env, Function};
use napi_derive::napi;

use crate::endpoint::{Joining, Watch};
use crate::event_loop::Bell;
use crate::failure::{Result, invalid, refused, told, unable};
use crate::receiver::Receiver;
use crate::requests::Requests;
use crate::sender::Pending;

/// What a wait is about.
enum Waiting {
    Joining(Rc<RefCell<Option<bus::Joining>>>),
    Receiver(bus::Receiver),
    /// Descriptors of a message that found no room.
    Room(Poller),
    Replies(Rc<requests::Requests>),
    Watch(Rc<bus::Watch>),
}

impl Waiting {
    /// Does something with its descriptor; an error where there is none any more.
    fn with<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> Result<T> {
        let done = match self {
            Waiting::Joining(joining) => match &*joining.borrow() {
                Some(joining) => act(joining.fd()),
                None => Err(io::ErrorKind::NotFound.into()),
            },
            Waiting::Receiver(receiver) => act(receiver.descriptor().map_err(told)?),
            Waiting::Room(poller) => act(poller.as_fd()),
            Waiting::Replies(requests) => act(requests.descriptor().map_err(told)?),
            Waiting::Watch(watch) => act(watch.fd()),
        };
        done.map_err(|error| refused("the descriptor cannot be waited for", &error))
    }
}

/// What an environment waits for. Make one for each.
#[napi]
pub struct Hub {
    // Closed before the poller that it polls.
    bell: Bell,
    poller: Rc<Poller>,
    waits: RefCell<HashMap<u32, Waiting>>,
}

impl Hub {
    fn begin(&self, number: u32, waiting: Waiting) -> Result<()> {
        let mut waits = self.waits.borrow_mut();
        if waits.contains_key(&number) {
            return Err(invalid("this wait has begun already"));
        }
        waiting.with(|fd| self.poller.add(fd, number.into(), Interest::READ))?;
        waits.insert(number, waiting);
        Ok(())
    }

    fn end(&self, number: u32) -> bool {
        let ended = self.waits.borrow_mut().remove(&number);
        // What has no descriptor any more is out of the poller by that.
        let known = ended.is_some();
        if let Some(waiting) = ended {
            let _ = waiting.with(|fd| self.poller.remove(fd));
        }
        known
    }
}

#[napi]
impl Hub {
    /// Has `call` called when something may be tried again: what, `ready` says.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: &Env, call: Function<'_, (), ()>) -> Result<Hub> {
        let poller = Poller::new().map_err(|error| refused("the environment's descriptors", &error))?;
        let poller = Rc::new(poller);
        let bell = Bell::new(env, poller.clone(), &call).map_err(unable)?;
        Ok(Hub { bell, poller, waits: RefCell::default() })
    }

    /// Waits for the outcome of a joining.
    #[napi(catch_unwind)]
    pub fn await_joining(&self, number: u32, joining: &Joining) -> Result<()> {
        self.begin(number, Waiting::Joining(joining.joining.clone()))
    }

    /// Waits for a message.
    #[napi(catch_unwind)]
    pub fn await_message(&self, number: u32, receiver: &Receiver) -> Result<()> {
        self.begin(number, Waiting::Receiver(receiver.core.clone()))
    }

    /// Waits for room. Whether there is anything to wait for.
    #[napi(catch_unwind)]
    pub fn await_room(&self, number: u32, pending: &Pending) -> Result<bool> {
        let room = pending.descriptor().map_err(|error| refused("the wait for room", &error))?;
        match room {
            Some(poller) => self.begin(number, Waiting::Room(poller)).map(|()| true),
            None => Ok(false),
        }
    }

    /// Waits for replies.
    #[napi(catch_unwind)]
    pub fn await_replies(&self, number: u32, requests: &Requests) -> Result<()> {
        self.begin(number, Waiting::Replies(requests.requests.clone()))
    }

    /// Waits for somebody to join or leave.
    #[napi(catch_unwind)]
    pub fn await_event(&self, number: u32, watch: &Watch) -> Result<()> {
        self.begin(number, Waiting::Watch(watch.watch.clone()))
    }

    /// Ends a wait. It may have ended already.
    #[napi(catch_unwind)]
    pub fn forget(&self, number: u32) {
        self.end(number);
    }

    /// The waits that have ended because what they wait for may be there.
    #[napi(catch_unwind)]
    pub fn ready(&self) -> Result<Vec<u32>> {
        let mut events = Events::new();
        match self.poller.wait(&mut events, Some(Duration::ZERO)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            Err(error) => return Err(refused("the environment's descriptors", &error)),
        }
        // Who was told of twice, or has just been forgotten, is told of once or not at all.
        Ok(events.iter().map(|event| event.token as u32).filter(|number| self.end(*number)).collect())
    }

    /// Whether what is waited for keeps the process alive.
    #[napi(catch_unwind)]
    pub fn hold(&self, hold: bool) {
        self.bell.hold(hold);
    }
}
