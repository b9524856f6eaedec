//! Memory whose writer may die at any store.
//!
//! A process has one fuse. Everything that others can see of it burns one step of it: a store, a piece of a copy, a packet, a
//! record in a ring. When it has burnt down nothing of what the process still does is seen by anybody, which is what SIGKILL
//! between two instructions is to the others; the world then buries it. The memory is that of the bus, a memory file.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

use ipmb_transport::Ordering;
use ipmb_transport::memory::OwnMemory;
use ipmb_transport::sys::Fd;

use crate::directory::{DirectoryReader, DirectoryWriter, MEMORY_BYTES, Snapshot};
use crate::memory::Written;

/// Bytes that are copied in one instruction, so to speak.
const PIECE: usize = 64;
/// Stores of a commit between two looks at the directory from the outside: a look costs as much as many stores.
const LOOK_EVERY: u64 = 7;

/// What is left of the life of a process.
#[derive(Clone, Default)]
pub(crate) struct Fuse(Rc<Cell<Option<u64>>>);

impl Fuse {
    /// Lets the process die after so many steps from now.
    pub(crate) fn light(&self, steps: u64) {
        if self.0.get().is_none() {
            self.0.set(Some(steps));
        }
    }

    /// The process lives on.
    pub(crate) fn put_out(&self) {
        if !self.is_out() {
            self.0.set(None);
        }
    }

    /// One step is made. `false`: the process has died before it.
    pub(crate) fn burn(&self) -> bool {
        match self.0.get() {
            None => true,
            Some(0) => false,
            Some(left) => {
                self.0.set(Some(left - 1));
                true
            }
        }
    }

    /// Whether it has died.
    pub(crate) fn is_out(&self) -> bool {
        self.0.get() == Some(0)
    }
}

/// Memory of a process with a fuse.
pub(crate) struct Mortal {
    memory: OwnMemory,
    fuse: Fuse,
    /// Who looks on while it is written.
    board: Rc<OnceCell<Rc<Board>>>,
    stores: Cell<u64>,
}

impl Mortal {
    pub(crate) fn new(memory: OwnMemory, fuse: Fuse) -> Mortal {
        Mortal { memory, fuse, board: Rc::default(), stores: Cell::new(0) }
    }

    fn step(&self) -> bool {
        self.stores.set(self.stores.get() + 1);
        if let Some(board) = self.board.get()
            && self.stores.get().is_multiple_of(LOOK_EVERY)
        {
            board.look();
        }
        self.fuse.burn()
    }
}

impl Written for Mortal {
    fn load(&self, offset: usize, order: Ordering) -> u64 {
        self.memory.load(offset, order)
    }

    fn store(&self, offset: usize, value: u64, order: Ordering) {
        if self.step() {
            self.memory.store(offset, value, order);
        }
    }

    fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            if self.step() {
                self.memory.copy_in(offset + number * PIECE, piece);
            }
        }
    }

    fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        self.memory.copy_out(offset, buf);
    }
}

/// The memory of one controller's directory, as everybody maps it.
pub(crate) struct Board {
    pub(crate) fd: Fd,
    reader: DirectoryReader,
    /// What was committed last.
    truth: RefCell<Snapshot>,
}

impl Board {
    /// A controller's directory with its first snapshot.
    pub(crate) fn create(first: &Snapshot, fuse: Fuse) -> io::Result<(DirectoryWriter<Mortal>, Rc<Board>)> {
        let (memory, fd) = OwnMemory::create("ipmb-directory", MEMORY_BYTES)?;
        let reader = DirectoryReader::open(&fd).map_err(io::Error::other)?;
        let memory = Mortal::new(memory, fuse);
        let place = memory.board.clone();
        let writer = DirectoryWriter::within(memory, first)?;
        let board = Rc::new(Board { fd, reader, truth: RefCell::new(first.clone()) });
        let _ = place.set(board.clone());
        Ok((writer, board))
    }

    /// A look while somebody writes: it finds what was committed last, whole.
    fn look(&self) {
        assert_eq!(self.read(), *self.truth.borrow(), "what is not committed is seen");
    }

    pub(crate) fn read(&self) -> Snapshot {
        self.reader.read().expect("whoever dies when, what is committed is whole")
    }

    /// The writer has committed, if it has lived so long.
    pub(crate) fn committed(&self, snapshot: Snapshot, lived: bool) {
        let seen = self.read();
        if lived || seen == snapshot {
            assert_eq!(seen, snapshot, "what is committed is not seen");
            *self.truth.borrow_mut() = snapshot;
        } else {
            self.look();
        }
    }
}
