//! Regions that are used again.
//!
//! The first touch of fresh memory costs many times what writing it again does, and giving it back costs as much once
//! more. So a pool keeps what it made, mapped, and hands it out again once nobody holds it: nobody in this process, and
//! by the kernel's word nobody else. What somebody has frozen, sealed or thinned out meanwhile is let go instead, and
//! so is what a forked child may still look at.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::body::{Body, Hold};
use super::{Access, Region, holders};
use crate::atomic::{Ordering, fence};
use crate::fork;
use crate::sys;

/// Regions that a search looks at of those that were used last, which the processor's caches still have, and of those that
/// were used first, where a queue of them frees the next; and how many of these it asks the kernel about. The first that turn
/// out to be held are counted as used last from then on, so that many that are held for long do not hide the others for long.
const LAST_USED: usize = 8;
const FIRST_USED: usize = 64;
const ASKED: usize = 16;

/// How large a region may be that is handed out for `size` bytes: for a few bytes as large as it is made for them.
fn largest_for(size: usize) -> usize {
    size.saturating_mul(2).max(rounded(size))
}

/// Bytes in a pool's regions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In regions that nobody holds, kept for reuse.
    pub free: usize,
    /// In regions that somebody holds.
    pub held: usize,
}

/// Regions of one kind, each with a note of type `T` of what it was last handed out for.
#[derive(Debug)]
pub struct Pool<T> {
    name: &'static str,
    access: Access,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    born: u64,
    /// By tag; then by size, and longest unasked first.
    tags: BTreeMap<String, Shelf<T>>,
    next: u64,
    /// Notes of regions that were reused before anybody asked for the notes.
    released: Vec<T>,
}

type Shelf<T> = BTreeMap<(usize, u64), Entry<T>>;

#[derive(Debug)]
struct Entry<T> {
    body: Arc<Body>,
    /// `None` once it was given out as released.
    note: Option<T>,
    /// When it was last seen to be held, nanoseconds.
    used: u64,
}

/// What a look at a region found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Free,
    /// Nobody holds it, and it cannot be used again.
    Spent,
    /// There may be holders that nobody can count: it is out of our hands.
    Lost,
}

impl<T> Entry<T> {
    fn state(&self) -> State {
        if Arc::strong_count(&self.body) > 1 {
            return State::Held;
        }
        // What the last hold did is seen from here on.
        fence(Ordering::Acquire);
        if self.body.is_lent() {
            return State::Lost;
        }
        match holders::anybody(self.body.fd()) {
            Ok(false) if self.body.is_reusable() => State::Free,
            Ok(false) => State::Spent,
            Ok(true) | Err(_) => State::Held,
        }
    }
}

impl<T> Inner<T> {
    /// Takes the place of what a forked child has inherited, which it gives back to be dropped without a lock.
    fn renew(&mut self) -> Option<Inner<T>> {
        let now = fork::generation();
        (self.born != now).then(|| std::mem::replace(self, Inner { born: now, ..Inner::new() }))
    }

    const fn new() -> Inner<T> {
        Inner { born: 0, tags: BTreeMap::new(), next: 0, released: Vec::new() }
    }

    /// The smallest free region of the tag that is large enough and not much too large.
    fn reuse(&mut self, size: usize, tag: &str, note: &mut Option<T>, garbage: &mut Vec<Entry<T>>) -> Option<Region> {
        let Inner { tags, next, released, .. } = self;
        let shelf = tags.get_mut(tag)?;
        let fitting = (size, 0)..=(largest_for(size), u64::MAX);
        let smallest = shelf.range(fitting.clone()).next()?.0.0;
        let last = shelf.range((smallest, 0)..=(smallest, u64::MAX)).rev().take(LAST_USED);
        let mut found = last.filter(|(_, entry)| entry.state() == State::Free).map(|(key, _)| *key).next();
        if found.is_none() {
            let first: Vec<_> = shelf.range(fitting).take(FIRST_USED).map(|(key, _)| *key).collect();
            let mut asked = 0;
            for key in first {
                let Some(mut entry) = shelf.remove(&key) else { continue };
                asked += usize::from(Arc::strong_count(&entry.body) == 1);
                let state = entry.state();
                if state == State::Spent {
                    released.extend(entry.note.take());
                }
                if matches!(state, State::Spent | State::Lost) {
                    garbage.push(entry);
                    continue;
                }
                *next += 1;
                shelf.insert((key.0, *next), entry);
                found = (state == State::Free).then_some((key.0, *next));
                if found.is_some() || asked == ASKED {
                    break;
                }
            }
        }
        let (size, turn) = found?;
        let mut entry = shelf.remove(&(size, turn))?;
        released.extend(std::mem::replace(&mut entry.note, note.take()));
        entry.used = sys::now();
        let region = Region { hold: Hold::new(&entry.body, true) };
        *next += 1;
        shelf.insert((size, *next), entry);
        Some(region)
    }

    /// Looks at every region. What is free and unused since `idle_since` goes; the notes of all that is released join
    /// `released`.
    fn sweep(&mut self, idle_since: u64, notes_only: bool, garbage: &mut Vec<Entry<T>>) -> Usage {
        let mut usage = Usage::default();
        let now = sys::now();
        let Inner { tags, released, .. } = self;
        tags.retain(|_, shelf| {
            let gone: Vec<_> = shelf
                .iter_mut()
                .filter(|(_, entry)| !notes_only || entry.note.is_some())
                .filter_map(|(key, entry)| {
                    let state = entry.state();
                    match state {
                        State::Held => {
                            usage.held += entry.body.size();
                            entry.used = now;
                            return None;
                        }
                        State::Lost => {}
                        State::Free | State::Spent => released.extend(entry.note.take()),
                    }
                    if state == State::Free && entry.used >= idle_since {
                        usage.free += entry.body.size();
                        return None;
                    }
                    Some(*key)
                })
                .collect();
            garbage.extend(gone.iter().filter_map(|key| shelf.remove(key)));
            !shelf.is_empty()
        });
        usage
    }
}

impl<T> Pool<T> {
    /// A pool with nothing in it; `name` shows up in `/proc` for each of its regions.
    pub const fn new(name: &'static str, access: Access) -> Pool<T> {
        Pool { name, access, inner: Mutex::new(Inner::new()) }
    }

    /// Works on the pool. What has to be dropped is so without the lock, and with forks allowed again: notes may run
    /// anybody's code, and memory takes its time.
    fn with<R>(&self, work: impl FnOnce(&mut Inner<T>, &mut Vec<Entry<T>>) -> R) -> R {
        let mut garbage = Vec::new();
        let guard = fork::guard();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inherited = inner.renew();
        let result = work(&mut inner, &mut garbage);
        drop(inner);
        drop(guard);
        drop((inherited, garbage));
        result
    }

    /// A region of at least `min_size` bytes for this process to hold: one of the same tag that is free, the smallest
    /// that fits and no more than twice as large (or a page), or a new one. What is in it is left of its last use.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for no bytes, [`io::ErrorKind::OutOfMemory`] for more than there is, when all
    /// that was free has been given back.
    pub fn take(&self, min_size: usize, tag: &str, note: T) -> io::Result<Region> {
        let mut note = Some(note);
        if let Some(region) = self.with(|inner, garbage| inner.reuse(min_size, tag, &mut note, garbage)) {
            return Ok(region);
        }
        let size = rounded(min_size);
        let body = match Body::create(self.name, size, self.access) {
            // What is kept for later costs memory and a descriptor each.
            Err(error) if is_used_up(&error) => {
                self.trim(u64::MAX);
                Body::create(self.name, size, self.access)?
            }
            body => body?,
        };
        let region = Region { hold: Hold::new(&body, true) };
        self.with(|inner, _| {
            inner.next += 1;
            let shelf = inner.tags.entry(tag.to_owned()).or_default();
            shelf.insert((size, inner.next), Entry { body, note, used: sys::now() });
        });
        Ok(region)
    }

    /// The notes of regions that nobody holds any more, each once.
    pub fn collect(&self) -> Vec<T> {
        self.with(|inner, garbage| {
            inner.sweep(0, true, garbage);
            std::mem::take(&mut inner.released)
        })
    }

    /// Gives back the memory that is free and has not been in use since `idle_since`, nanoseconds of the monotonic
    /// clock, and tells what is left.
    pub fn trim(&self, idle_since: u64) -> Usage {
        self.with(|inner, garbage| inner.sweep(idle_since, false, garbage))
    }

    /// How much memory the pool has.
    pub fn usage(&self) -> Usage {
        self.trim(0)
    }
}

fn is_used_up(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(sys::is_descriptor_limit)
}

/// A size that more requests than one can share: a whole number of pages, and an eighth above a power of two or more.
fn rounded(size: usize) -> usize {
    let step = (size.checked_next_power_of_two().unwrap_or(size) / 16).max(sys::page_size());
    size.checked_next_multiple_of(step).unwrap_or(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_by_an_eighth_at_most() {
        let page = sys::page_size();
        assert_eq!((rounded(1), rounded(page), rounded(page + 1)), (page, page, 2 * page));
        assert_eq!(rounded(0), 0, "the error is the maker's");
        for size in [20_000, 65_537, 1 << 20, (1 << 20) + 1, 1_000_000_007] {
            assert!((size..=size + size / 8 + page).contains(&rounded(size)), "{size}: {}", rounded(size));
        }
        assert_eq!(rounded(usize::MAX), usize::MAX);
    }
}
