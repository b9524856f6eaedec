//! Waiting: for many descriptors, for a few, and for ourselves.
//!
//! `epoll_wait` counts in milliseconds and `epoll_pwait2` needs a newer kernel than the rest of the crate, but
//! an epoll descriptor can itself be polled: a bounded wait is a `ppoll` to the nanosecond, then a look.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::descriptor::{Fd, create};

/// What to be told about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(EventFlags);

impl Interest {
    /// That it can be read, every time anew as long as it can.
    pub const READ: Interest = Interest(EventFlags::IN);
    /// That the other side is gone, once. Packets do not wake.
    pub const HANGUP: Interest = Interest(EventFlags::RDHUP.union(EventFlags::ET));
    /// Nothing (the kernel may still tell that the other side is gone, once).
    pub const NONE: Interest = Interest(EventFlags::ET);
}

/// What happened to the descriptor that was added under `token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The number given to [`Poller::add`].
    pub token: u64,
    /// There is something to read, the end included.
    pub readable: bool,
    /// The other side is gone; packets it has sent may still wait.
    pub hangup: bool,
}

/// Events told by one wait at most; what does not fit is told by the next.
const ROOM: usize = 64;

/// Room for what one wait tells, without the heap.
pub struct Events {
    told: [epoll::Event; ROOM],
    count: usize,
}

impl Events {
    /// Room with nothing in it.
    pub fn new() -> Events {
        let nothing = epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Events { told: [nothing; ROOM], count: 0 }
    }

    /// The events of the last wait.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.told[..self.count].iter().map(|event| {
            let flags = event.flags;
            Event {
                token: event.data.u64(),
                readable: flags.contains(EventFlags::IN),
                hangup: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
            }
        })
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// Waits for any of many descriptors at once.
#[derive(Debug)]
pub struct Poller {
    epoll: Fd,
}

impl Poller {
    /// A poller with nothing to wait for.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: create(|| Ok(epoll::create(CreateFlags::CLOEXEC)?))? })
    }

    /// Tells about `fd` from now on, under `token`.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), interest.0)?)
    }

    /// Changes what to tell. What is already so is told by the next wait, a hangup included.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), interest.0)?)
    }

    /// Tells nothing more about `fd`. To be called before it is closed: a duplicate elsewhere would keep it in.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until something is to be told or the time is over, and returns how many events there are (none also
    /// when another thread has just taken them). No timeout waits for ever, a zero one only looks. A signal gives [`io::ErrorKind::Interrupted`].
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        events.count = 0;
        let wait = match timeout {
            None => None,
            Some(time) => {
                if !time.is_zero() && poll(&[self.as_fd()], Some(time))? == 0 {
                    return Ok(0);
                }
                Some(timespec(Duration::ZERO))
            }
        };
        events.count = epoll::wait(&self.epoll, &mut events.told[..], wait.as_ref())?;
        Ok(events.count)
    }
}

impl AsFd for Poller {
    /// Readable when a wait would tell something, so that another loop can wait for this one.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// A flag that can be waited for.
#[derive(Debug)]
pub struct Signal {
    event: Fd,
}

impl Signal {
    /// A signal that is not set.
    pub fn new() -> io::Result<Signal> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Signal { event: create(|| Ok(eventfd(0, flags)?))? })
    }

    /// Sets it: whoever waits for it wakes. Setting it again changes nothing.
    pub fn set(&self) {
        // It can only fail when the counter is at its end (it is set then), or in a forked child.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// Clears it and tells whether it was set.
    pub fn clear(&self) -> bool {
        rustix::io::read(&self.event, &mut [0; 8]).is_ok()
    }
}

impl AsFd for Signal {
    /// Readable while the signal is set.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Waits until one of a few descriptors can be read or has lost its other side, and returns how many have; 0
/// when the time is over. No timeout waits for ever, a zero one only looks. A signal gives
/// [`io::ErrorKind::Interrupted`].
pub fn poll(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    const FEW: usize = 4;
    let timeout = timeout.map(timespec);
    let result = match fds {
        [] => rustix::event::poll(&mut [], timeout.as_ref()),
        [first, ..] if fds.len() <= FEW => {
            let mut few: [PollFd<'_>; FEW] = std::array::from_fn(|i| polled(fds.get(i).unwrap_or(first)));
            rustix::event::poll(&mut few[..fds.len()], timeout.as_ref())
        }
        _ => rustix::event::poll(&mut fds.iter().map(polled).collect::<Vec<_>>(), timeout.as_ref()),
    };
    match result {
        Ok(ready) => Ok(ready),
        // Out of kernel memory for a moment; to a caller that looks again it is a spurious wake-up.
        Err(Errno::AGAIN) => Err(io::ErrorKind::Interrupted.into()),
        Err(error) => Err(error.into()),
    }
}

fn polled<'fd>(fd: &BorrowedFd<'fd>) -> PollFd<'fd> {
    PollFd::from_borrowed_fd(*fd, PollFlags::IN | PollFlags::RDHUP)
}

fn timespec(time: Duration) -> Timespec {
    // More seconds than the kernel takes are for ever anyway.
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() }
}
