//! `QueueStore`: what `ipmb.Queue` keeps its items in, as bytes.
//!
//! Each call is one try: it does its work, or says at once that there is nothing, no room, or that somebody else is at it.
//! Waiting, pickling and handing a queue to other processes are Python's (`ipmb/queues`). No Python code runs while the
//! lock is held, so neither Ctrl-C nor a signal handler that uses the same queue can come in between.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use ipmb_transport::queue::{First, Glance, Queue, Turn};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes};

use crate::errors::{forked, os_error};
use crate::waiting::detached;

/// Records up to this many bytes are copied with the interpreter lock held: that is quicker than giving it back.
const QUICK: usize = 64 << 10;

/// The items of a queue, as this process holds them.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct QueueStore {
    core: Queue,
}

impl QueueStore {
    fn of(made: io::Result<Queue>) -> PyResult<QueueStore> {
        Ok(QueueStore { core: made.map_err(|error| failed(&error))? })
    }

    /// The lock, unless somebody keeps it for longer than a moment.
    fn turn<'a>(&'a self, py: Python<'_>) -> PyResult<Option<Turn<'a>>> {
        if !self.core.is_alive() {
            return Err(forked(py, "this store belongs to the parent process: go on with its heir"));
        }
        match self.core.enter() {
            Ok(None) => detached(py, || self.core.enter_soon()),
            entered => entered,
        }
        .map_err(|error| failed(&error))
    }
}

#[pymethods]
impl QueueStore {
    /// A new queue of at most `bound` items; 0 is without bound.
    #[new]
    fn new(bound: u64) -> PyResult<QueueStore> {
        QueueStore::of(Queue::create(bound))
    }

    /// The queue behind another process's descriptors: memory, items, and room if it has a bound. They stay open.
    #[staticmethod]
    #[pyo3(signature = (bound, memory, items, room = None))]
    fn open(bound: u64, memory: i32, items: i32, room: Option<i32>) -> PyResult<QueueStore> {
        QueueStore::of(Queue::open(bound, memory, items, room))
    }

    /// The same queue for a forked child: a store is dead there.
    fn heir(&self) -> PyResult<QueueStore> {
        QueueStore::of(self.core.heir())
    }

    /// Whether this process may use it: not a child of the one that made it.
    #[getter]
    fn is_alive(&self) -> bool {
        self.core.is_alive()
    }

    /// The descriptors to give to another process: memory, items, and room if it has a bound.
    #[getter]
    fn descriptors(&self) -> Vec<i32> {
        let (memory, items, room) = self.core.descriptors();
        [Some(memory), Some(items), room].into_iter().flatten().collect()
    }

    /// A descriptor that is readable when there may be items.
    #[getter]
    fn items(&self) -> i32 {
        self.core.descriptors().1
    }

    /// A descriptor that is readable when there may be room; None in a queue without bound.
    #[getter]
    fn room(&self) -> Option<i32> {
        self.core.descriptors().2
    }

    /// A descriptor that is readable after `end`.
    fn ending(&self) -> PyResult<i32> {
        let signal = self.core.ending().map_err(|error| failed(&error))?;
        Ok(signal.as_fd().as_raw_fd())
    }

    /// Makes `ending` readable, for the threads of this process that wait.
    fn end(&self) {
        self.core.end();
    }

    /// How many items there are; it waits for nobody.
    fn count(&self) -> PyResult<u64> {
        self.core.count().map_err(|error| failed(&error))
    }

    /// Appends an item: True, False when the queue is full, None when somebody else is at it.
    fn put(&self, item: &Bound<'_, PyBytes>) -> PyResult<Option<bool>> {
        let (py, bytes) = (item.py(), item.as_bytes());
        let Some(turn) = self.turn(py)? else { return Ok(None) };
        let put = if bytes.len() <= QUICK { turn.put(bytes) } else { detached(py, || turn.put(bytes)) };
        put.map(Some).map_err(|error| failed(&error))
    }

    /// Takes the oldest item: its bytes, False when there is none, None when somebody else is at it.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(turn) = self.turn(py)? else { return Ok(None) };
        let mut glance = Glance::default();
        let Some(first) = turn.first(&mut glance).map_err(|error| failed(&error))? else {
            return Ok(Some(PyBool::new(py, false).to_owned().into_any()));
        };
        let item = match first.short() {
            Some(bytes) => {
                let item = PyBytes::new(py, bytes);
                first.take().map_err(|error| failed(&error))?;
                item
            }
            None => PyBytes::new_with(py, first.len(), |into| {
                let quick = into.len() <= QUICK;
                let copy = move || copied(first, into);
                if quick { copy() } else { detached(py, copy) }.map_err(|error| failed(&error))
            })?,
        };
        Ok(Some(item.into_any()))
    }
}

fn copied(first: First<'_, '_>, into: &mut [u8]) -> io::Result<()> {
    first.copy_to(into)?;
    first.take()
}

#[cold]
fn failed(error: &io::Error) -> PyErr {
    os_error(error, format!("the queue cannot be used: {error}"))
}
