//! Records from many writers to many readers, in order, in one memory file that no death can spoil.
//!
//! Whoever holds the descriptors may put and take. Nobody is in charge and nothing runs in the background, so there is
//! nobody whose death others could wait for. What makes that hold:
//!
//! * A change is made under a lock that the kernel drops when its holder dies (`flock`, each process on an open file
//!   description of its own that no child and no packet ever gets), and becomes true by one write ([`state`]).
//! * The file is read and written by system calls and never mapped: no `SIGBUS`, whoever does what to it.
//! * Two event counters say "there are items" and "there is room", for those who wait. A flag is raised *before* the
//!   change that makes it true, and lowered only under the lock when it was found false. A death in between costs
//!   somebody a look in vain, never a wake-up.
//!
//! A *stopped* holder keeps the lock, as it must. So nothing here waits for it: [`Queue::enter`] says that it is taken,
//! and how long to go on trying is the caller's business.
//!
//! The file, the flags and so the queue itself are inherited by forked children, unlike everything else in this crate;
//! only the lock is not. A child goes on with an [`Queue::heir`].

mod state;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, ftruncate};
use rustix::io::Errno;

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::sys::{self, Fd, Signal};
use state::{FIRST, ITEMS, ROOM, State};

/// Bytes before each record: how many follow.
const PREFIX: u64 = 8;
/// How much of the file the first look at a record brings.
const GLANCE: usize = 4096;
/// Memory that was read is looked after in steps of this many bytes.
const STEP: u64 = 1 << 20;
/// So much memory of a queue is kept for the next records: new memory costs several times as much as old.
const WARM: u64 = 16 << 20;
/// What is left moves to the beginning when so many times as much has been read, so that moving costs little.
const MOVE_AT: u64 = 4;
/// An emptied queue gives back what a writer that was killed left behind, every so many changes.
const SWEEP: u64 = 64;
/// How long to try for the lock before the thread sleeps: changes of small records are over by then.
const SOON: Duration = Duration::from_micros(50);

/// What all processes share of a queue.
#[derive(Debug)]
struct Shared {
    memory: OwnedFd,
    items: OwnedFd,
    room: Option<OwnedFd>,
    bound: u64,
}

/// A queue as one process holds it.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    /// The description that this process locks; nobody else ever has it.
    own: Fd,
    /// 1 while a thread of this process is inside: for the kernel they are all the same.
    inside: AtomicU64,
    ending: OnceLock<Signal>,
    /// 1 when it has ended for the threads of this process.
    ended: AtomicU64,
}

impl Queue {
    /// A new queue of at most `bound` records; 0 is without bound.
    pub fn create(bound: u64) -> io::Result<Queue> {
        let memory = sys::create_memfd("ipmb-queue")?.into_owned();
        let items = flag(0)?;
        let room = if bound > 0 { Some(flag(1)?) } else { None };
        State::found(memory.as_fd(), ROOM)?;
        Queue::hold(Arc::new(Shared { memory, items, room, bound }))
    }

    /// The queue behind descriptors from another process, which stay the caller's.
    pub fn open(bound: u64, memory: RawFd, items: RawFd, room: Option<RawFd>) -> io::Result<Queue> {
        let own = |number| match Fd::duplicate_number(number)? {
            Some(fd) => Ok(fd.into_owned()),
            None => Err(io::Error::from(Errno::BADF)),
        };
        let (memory, items, room) = (own(memory)?, own(items)?, room.map(own).transpose()?);
        if room.is_none() != (bound == 0) {
            return Err(Errno::INVAL.into());
        }
        Queue::hold(Arc::new(Shared { memory, items, room, bound }))
    }

    /// The same queue for a forked child, which lost the lock with the fork.
    pub fn heir(&self) -> io::Result<Queue> {
        Queue::hold(self.shared.clone())
    }

    fn hold(shared: Arc<Shared>) -> io::Result<Queue> {
        let own = sys::reopen(shared.memory.as_fd(), true)?;
        Ok(Queue { shared, own, inside: AtomicU64::new(0), ending: OnceLock::new(), ended: AtomicU64::new(0) })
    }

    /// Whether this process may use it: not a child of the one that made it.
    pub fn is_alive(&self) -> bool {
        self.own.is_alive()
    }

    /// The file and the flags, for handing the queue on and for waiting: memory, items, room.
    pub fn descriptors(&self) -> (RawFd, RawFd, Option<RawFd>) {
        let Shared { memory, items, room, .. } = &*self.shared;
        (memory.as_raw_fd(), items.as_raw_fd(), room.as_ref().map(AsRawFd::as_raw_fd))
    }

    /// What threads of this process watch while they wait, beside a flag: it is set by [`Queue::end`].
    pub fn ending(&self) -> io::Result<&Signal> {
        if self.ending.get().is_none() {
            let signal = Signal::new()?;
            // Another thread may have been quicker; then that one's is the signal.
            let _ = self.ending.set(signal);
        }
        let signal = self.ending.get().expect("set just now");
        // Either we see here that it has ended, or `end` sees the signal.
        fence(Ordering::SeqCst);
        if self.ended.load(Ordering::Relaxed) == 1 {
            signal.set();
        }
        Ok(signal)
    }

    /// Wakes the threads of this process that wait, for good, and those that are about to.
    pub fn end(&self) {
        self.ended.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if let Some(signal) = self.ending.get() {
            signal.set();
        }
    }

    /// How many records there are. It takes no lock and so waits for nobody.
    pub fn count(&self) -> io::Result<u64> {
        // Two writes would have to come during one read for both slots to be in the middle of a change.
        for _ in 0..1000 {
            if let Some(state) = State::read(self.shared.memory.as_fd())? {
                return Ok(state.count);
            }
            std::thread::yield_now();
        }
        Err(damaged())
    }

    /// Takes the lock if nobody has it.
    pub fn enter(&self) -> io::Result<Option<Turn<'_>>> {
        if self.inside.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Ok(None);
        }
        // From here on it gives the turn back, whatever happens; to unlock what is not locked is harmless.
        let turn = Turn { queue: self };
        match flock(&self.own, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(turn)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, trying for some microseconds.
    pub fn enter_soon(&self) -> io::Result<Option<Turn<'_>>> {
        let started = Instant::now();
        loop {
            if let Some(turn) = self.enter()? {
                return Ok(Some(turn));
            }
            if started.elapsed() > SOON {
                return Ok(None);
            }
            std::thread::yield_now();
        }
    }
}

/// The right to change a queue, given back when it goes.
#[derive(Debug)]
pub struct Turn<'a> {
    queue: &'a Queue,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = flock(&self.queue.own, FlockOperation::NonBlockingUnlock);
        self.queue.inside.store(0, Ordering::Release);
    }
}

impl<'a> Turn<'a> {
    /// Appends a record, or finds the queue full: false. With an error nothing is in it.
    pub fn put(self, record: &[u8]) -> io::Result<bool> {
        let shared = &*self.queue.shared;
        let mut state = self.state()?;
        if let Some(room) = &shared.room
            && state.count >= shared.bound
        {
            lower(state, ROOM, room, self.memory())?;
            return Ok(false);
        }
        if let Err(error) = append(self.memory(), state.end, record) {
            // What could be written is of no use to anybody.
            let _ = ftruncate(self.memory(), state.end);
            return Err(error);
        }
        raise(&mut state, ITEMS, &shared.items)?;
        state.end = u64::checked_add(state.end, PREFIX + record.len() as u64).ok_or_else(damaged)?;
        state.count += 1;
        state.commit(self.memory())?;
        Ok(true)
    }

    /// The oldest record, if there is one; it stays where it is.
    pub fn first(self, glance: &mut Glance) -> io::Result<Option<First<'a, '_>>> {
        let state = self.state()?;
        if state.count == 0 {
            lower(state, ITEMS, &self.queue.shared.items, self.memory())?;
            return Ok(None);
        }
        let seen = rustix::io::pread(self.memory(), &mut glance.0[..], state.start)?;
        let (prefix, head) = glance.0[..seen].split_first_chunk().ok_or_else(damaged)?;
        let len = u64::from_le_bytes(*prefix);
        if len > state.end - state.start - PREFIX {
            return Err(damaged());
        }
        Ok(Some(First { turn: self, state, len: len as usize, head: &head[..head.len().min(len as usize)] }))
    }

    fn state(&self) -> io::Result<State> {
        State::read(self.memory())?.ok_or_else(damaged)
    }

    /// The file by the way of our own description.
    fn memory(&self) -> BorrowedFd<'_> {
        self.queue.own.as_fd()
    }
}

/// Room for the first look at a record.
#[derive(Debug)]
pub struct Glance([u8; GLANCE]);

impl Default for Glance {
    fn default() -> Glance {
        Glance([0; GLANCE])
    }
}

/// The oldest record, with the lock held so that it stays the oldest.
#[derive(Debug)]
pub struct First<'a, 'g> {
    turn: Turn<'a>,
    state: State,
    len: usize,
    head: &'g [u8],
}

impl<'g> First<'_, 'g> {
    /// Its size in bytes.
    #[allow(clippy::len_without_is_empty, reason = "it is a record, not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The record, if it is so short that it has been read already.
    pub fn short(&self) -> Option<&'g [u8]> {
        (self.head.len() == self.len).then_some(self.head)
    }

    /// Copies the record out, into as many bytes as it has.
    ///
    /// # Panics
    /// They are not as many.
    pub fn copy_to(&self, into: &mut [u8]) -> io::Result<()> {
        assert_eq!(into.len(), self.len, "room for the record");
        let mut done = self.head.len();
        into[..done].copy_from_slice(self.head);
        while done < into.len() {
            let at = self.state.start + PREFIX + done as u64;
            match rustix::io::pread(self.turn.memory(), &mut into[done..], at) {
                Ok(0) => return Err(damaged()),
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes it out of the queue.
    pub fn take(self) -> io::Result<()> {
        let First { turn, mut state, len, .. } = self;
        let (begun, ended) = (state.start, state.end);
        if let Some(room) = &turn.queue.shared.room {
            raise(&mut state, ROOM, room)?;
        }
        state.start += PREFIX + len as u64;
        state.count -= 1;
        let stepped = begun / STEP != state.start / STEP;
        let moved = stepped && bring_forward(&mut state, turn.memory());
        if state.count == 0 {
            (state.start, state.end) = (FIRST, FIRST);
        }
        state.commit(turn.memory())?;
        // From here on it is only about memory. What fails or is left out now is done another time.
        if state.count == 0 || moved {
            if ended > WARM || state.is_nth(SWEEP) {
                let _ = ftruncate(turn.memory(), WARM.max(state.end));
            }
        } else if stepped && state.start > WARM {
            let hole = state.start / STEP * STEP - FIRST;
            let _ = fallocate(turn.memory(), FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, FIRST, hole);
        }
        Ok(())
    }
}

/// Copies what a short queue has left to the beginning of the file, where nobody looks before it is committed. Without it
/// the file of a queue that is never empty would grow in length, though not in memory, up to what the process may write.
fn bring_forward(state: &mut State, memory: BorrowedFd<'_>) -> bool {
    let left = state.end - state.start;
    if left == 0 || left > WARM.min((state.start - FIRST) / MOVE_AT) {
        return false;
    }
    let mut bytes = vec![0; left as usize];
    let whole = rustix::io::pread(memory, &mut bytes[..], state.start) == Ok(bytes.len())
        && rustix::io::pwrite(memory, &bytes, FIRST) == Ok(bytes.len());
    if whole {
        (state.start, state.end) = (FIRST, FIRST + left);
    }
    whole
}

/// Writes a record behind the last one, where nobody looks before it is committed.
fn append(memory: BorrowedFd<'_>, at: u64, record: &[u8]) -> io::Result<()> {
    let prefix = (record.len() as u64).to_le_bytes();
    let written = rustix::io::pwritev(memory, &[IoSlice::new(&prefix), IoSlice::new(record)], at)?;
    let mut done = written.checked_sub(prefix.len()).ok_or(io::ErrorKind::StorageFull)?;
    while done < record.len() {
        match rustix::io::pwrite(memory, &record[done..], at + PREFIX + done as u64) {
            Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
            Ok(written) => done += written,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn flag(value: u32) -> io::Result<OwnedFd> {
    Ok(eventfd(value, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Raises a flag that is not known to be up; the state that says so is committed after it.
fn raise(state: &mut State, which: u64, flag: &OwnedFd) -> io::Result<()> {
    if state.raised & which == 0 {
        match rustix::io::write(flag, &1_u64.to_ne_bytes()) {
            // A counter at its end is up.
            Ok(_) | Err(Errno::AGAIN) => state.raised |= which,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Lowers a flag that was found false. First the state says that it is not known to be up: whoever dies in between leaves
/// a flag that is up for nothing.
fn lower(mut state: State, which: u64, flag: &OwnedFd, memory: BorrowedFd<'_>) -> io::Result<()> {
    if state.raised & which != 0 {
        state.raised &= !which;
        state.commit(memory)?;
    }
    match rustix::io::read(flag, &mut [0; 8]) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cold]
fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the memory of the queue is damaged: something else has written to it")
}
