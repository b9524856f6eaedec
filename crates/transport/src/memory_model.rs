//! Memory files for the model checker: the same names as `memory.rs`, on the heap.
//!
//! A word in the header page is an atomic of loom's, each on a line of its own as the layout has it; the bytes
//! behind the header are loom cells, eight bytes each, so that loom reports every read of a record that is
//! not ordered after its writing, and every overwriting that is not ordered after its reading.

use std::io;
use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{ReadWord, Word};
use crate::error::{MemoryError, OutOfRange};

const HEADER: usize = 4096;
const LINE: usize = 128;
const LINES: usize = 3;

#[derive(Debug)]
struct Heap {
    words: Vec<Word>,
    cells: Vec<UnsafeCell<[u8; 8]>>,
}

// SAFETY: words are atomics, and loom checks every access to the cells for races.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

/// What is handed to the other side.
#[derive(Debug, Clone)]
pub struct MemoryFile(Arc<Heap>);

/// Memory that this side writes.
#[derive(Debug)]
pub struct OwnMemory(Arc<Heap>);

/// Memory that the other side writes.
#[derive(Debug)]
pub struct PeerMemory(Arc<Heap>);

impl Heap {
    fn word(&self, offset: usize) -> &Word {
        assert!(offset < HEADER && offset.is_multiple_of(LINE));
        &self.words[offset / LINE]
    }

    fn get(&self, offset: usize, buf: &mut [u8]) {
        for (index, byte) in buf.iter_mut().enumerate() {
            let place = offset - HEADER + index;
            // SAFETY: loom checks that nobody writes meanwhile.
            *byte = self.cells[place / 8].with(|cell| unsafe { (*cell)[place % 8] });
        }
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let place = offset - HEADER + index;
            // SAFETY: loom checks that nobody reads or writes meanwhile.
            self.cells[place / 8].with_mut(|cell| unsafe { (*cell)[place % 8] = *byte });
        }
    }
}

impl OwnMemory {
    /// See the production twin.
    pub fn create(_name: &str, size: usize) -> io::Result<(OwnMemory, MemoryFile)> {
        let heap = Arc::new(Heap {
            words: (0..LINES).map(|_| Word::new(0)).collect(),
            cells: (0..size.saturating_sub(HEADER) / 8).map(|_| UnsafeCell::new([0; 8])).collect(),
        });
        Ok((OwnMemory(Arc::clone(&heap)), MemoryFile(heap)))
    }

    /// See the production twin.
    pub fn create_whole(name: &str, size: usize) -> io::Result<(OwnMemory, MemoryFile)> {
        OwnMemory::create(name, size)
    }

    /// See the production twin.
    pub fn word(&self, offset: usize) -> &Word {
        self.0.word(offset)
    }

    pub(crate) fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0.put(offset, bytes);
    }

    /// See the production twin.
    pub fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        self.0.get(offset, buf);
    }
}

impl PeerMemory {
    /// See the production twin.
    pub fn open(file: &MemoryFile, _min: usize, _max: usize) -> Result<PeerMemory, MemoryError> {
        Ok(PeerMemory(Arc::clone(&file.0)))
    }

    /// See the production twin.
    pub fn size(&self) -> usize {
        HEADER + self.0.cells.len() * 8
    }

    /// See the production twin.
    pub fn word(&self, offset: usize) -> &ReadWord {
        self.0.word(offset).as_read()
    }

    pub(crate) fn get(&self, offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.0.get(offset, buf);
        Ok(())
    }
}
