//! The memory the directory is published in: two complete copies, and one word that says what is committed.
//!
//! The writer fills the copy that is not committed, numbers it, and then stores the word; so whoever dies when, the copy
//! the word names is whole, and a taker-over starts from it. A reader copies out first and asks afterwards: the number of
//! the copy, which is 0 while it is being written, has to be the word's both before and after. Only two commits within one
//! read disturb it, and then it begins anew. What it has copied is decoded as a stranger's bytes.
//!
//! The first 64 KiB hold the word and the two heads, each in a cache line of its own; a whole number of pages on every
//! machine. The file is sparse: what no directory ever needed takes no memory.

use std::io;

use ipmb_transport::memory::{OwnMemory, PeerMemory};
use ipmb_transport::sys::Fd;
use ipmb_transport::{MemoryError, Ordering};

use super::snapshot::{Living, Snapshot};
use crate::limits;
use crate::memory::{Watched, Written};

const WORD: usize = 0;
const HEAD_BYTES: usize = 64 << 10;
pub(crate) const MEMORY_BYTES: usize = HEAD_BYTES + 2 * limits::DIRECTORY_BYTES;

/// How often a reader begins anew before it gives up. A commit takes longer than a read, so twice is rare already.
const ATTEMPTS: usize = 100;

/// How many bytes a reader copies before it gives up, wherever that is: a controller that changes its directory without a
/// pause, and says that it is as long as it may be, would keep its readers for a second otherwise.
const PATIENCE_BYTES: usize = 4 * limits::DIRECTORY_BYTES;

/// Where one of the two copies is.
#[derive(Clone, Copy)]
struct Place(usize);

impl Place {
    const BOTH: [Place; 2] = [Place(0), Place(1)];

    fn number(self) -> usize {
        64 * (self.0 + 1)
    }

    fn length(self) -> usize {
        self.number() + 8
    }

    fn data(self) -> usize {
        HEAD_BYTES + self.0 * limits::DIRECTORY_BYTES
    }
}

/// A snapshot that does not fit a copy. The controller keeps account, so that this does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the directory needs {len} bytes and a copy has {max}", max = limits::DIRECTORY_BYTES)]
pub struct DirectoryFull {
    /// Bytes it needs.
    pub len: usize,
}

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The memory is not what a controller would send.
    #[error("the memory of the directory cannot be used: {0}")]
    Memory(#[from] MemoryError),
    /// The controller has committed without a pause for the whole time of reading.
    #[error("the directory changes without a pause")]
    Unsteady,
    /// The committed copy is no directory.
    #[error("the directory is malformed")]
    Malformed,
}

/// The controller's side.
#[derive(Debug)]
pub struct DirectoryWriter<M = OwnMemory> {
    memory: M,
    /// Which of the two copies is committed.
    committed: usize,
}

impl DirectoryWriter {
    /// Creates the memory with a first snapshot in it. The descriptor is what members get.
    ///
    /// # Errors
    /// When the operating system has no memory for it, or the snapshot does not fit.
    pub fn create(first: &Snapshot) -> io::Result<(Self, Fd)> {
        let (memory, fd) = OwnMemory::create("ipmb-directory", MEMORY_BYTES)?;
        Ok((Self::within(memory, first)?, fd))
    }
}

impl<M: Written> DirectoryWriter<M> {
    /// Puts a first snapshot into memory that is all zero.
    pub(crate) fn within(memory: M, first: &Snapshot) -> io::Result<Self> {
        let mut writer = Self { memory, committed: 1 };
        writer.commit(first).map_err(io::Error::other)?;
        Ok(writer)
    }

    /// Publishes a snapshot. Its word has to be later than that of the one before.
    ///
    /// # Errors
    /// When it does not fit; the one before stays committed.
    pub fn commit(&mut self, snapshot: &Snapshot) -> Result<(), DirectoryFull> {
        let bytes = snapshot.encode();
        if bytes.len() > limits::DIRECTORY_BYTES {
            return Err(DirectoryFull { len: bytes.len() });
        }
        debug_assert!(snapshot.word() > self.memory.load(WORD, Ordering::Relaxed), "the word has to rise");
        let place = self.spare();
        self.fill(place, &bytes);
        self.memory.store(place.number(), snapshot.word(), Ordering::Release);
        self.memory.store(WORD, snapshot.word(), Ordering::Release);
        self.committed = place.0;
        Ok(())
    }

    /// The copy that nobody is sent to.
    fn spare(&self) -> Place {
        Place(1 - self.committed)
    }

    /// Writes a copy that has no number until it is whole.
    fn fill(&mut self, place: Place, bytes: &[u8]) {
        self.memory.store(place.number(), 0, Ordering::Relaxed);
        // Copying in begins with a release fence, so whoever sees one of these bytes sees the number gone.
        self.memory.copy_in(place.data(), bytes);
        self.memory.store(place.length(), bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Everybody's side.
#[derive(Debug)]
pub struct DirectoryReader<M = PeerMemory> {
    memory: M,
}

impl DirectoryReader {
    /// Maps the directory that came with a welcome.
    ///
    /// # Errors
    /// When it is not sealed memory of the one size a directory has.
    pub fn open(fd: &Fd) -> Result<Self, DirectoryError> {
        Ok(Self { memory: PeerMemory::open(fd, MEMORY_BYTES, MEMORY_BYTES)? })
    }
}

impl<M: Watched> DirectoryReader<M> {
    /// Term and epoch of what is committed: all that a sender looks at while nothing changes.
    #[inline(always)]
    pub fn word(&self) -> u64 {
        self.memory.load(WORD, Ordering::Acquire)
    }

    /// The committed snapshot, whole.
    ///
    /// # Errors
    /// When it changes without a pause, or is none.
    pub fn read(&self) -> Result<Snapshot, DirectoryError> {
        let (word, bytes) = self.committed()?;
        let snapshot = Snapshot::decode(&bytes).map_err(|_| DirectoryError::Malformed)?;
        if snapshot.word() == word { Ok(snapshot) } else { Err(DirectoryError::Malformed) }
    }

    /// What the committed snapshot says of the living.
    ///
    /// # Errors
    /// When it changes without a pause, or is none.
    pub fn read_living(&self) -> Result<Living, DirectoryError> {
        let (word, bytes) = self.committed()?;
        let living = Living::decode(&bytes).map_err(|_| DirectoryError::Malformed)?;
        if living.word() == word { Ok(living) } else { Err(DirectoryError::Malformed) }
    }

    /// The bytes of the committed snapshot, and the word they were committed under.
    fn committed(&self) -> Result<(u64, Vec<u8>), DirectoryError> {
        let mut bytes = Vec::new();
        let mut patience = PATIENCE_BYTES;
        for _ in 0..ATTEMPTS {
            let word = self.word();
            for place in Place::BOTH {
                if self.copy_out(place, word, &mut bytes, &mut patience)? {
                    return Ok((word, bytes));
                }
            }
            std::thread::yield_now();
        }
        Err(DirectoryError::Unsteady)
    }

    /// Copies the bytes of one place out. Whether it held what the word names all the time.
    fn copy_out(
        &self,
        place: Place,
        word: u64,
        bytes: &mut Vec<u8>,
        patience: &mut usize,
    ) -> Result<bool, DirectoryError> {
        if self.memory.load(place.number(), Ordering::Acquire) != word {
            return Ok(false);
        }
        let len = self.memory.load(place.length(), Ordering::Acquire);
        let len = usize::try_from(len).ok().filter(|&len| len <= limits::DIRECTORY_BYTES);
        let len = len.ok_or(DirectoryError::Malformed)?;
        *patience = patience.checked_sub(len).ok_or(DirectoryError::Unsteady)?;
        bytes.resize(len, 0);
        self.memory.copy_out(place.data(), bytes).map_err(|_| DirectoryError::Malformed)?;
        // Copying out ends with an acquire fence, so bytes of a later commit come with the number gone.
        Ok(self.memory.load(place.number(), Ordering::Relaxed) == word)
    }
}

/// A directory whose controller writes what it likes.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(word: u64, numbers: [u64; 2], lengths: [u64; 2], bytes: &[u8]) -> DirectoryReader {
    let (mut memory, fd) = OwnMemory::create("hostile", MEMORY_BYTES).expect("memory");
    memory.word(WORD).store(word, Ordering::Relaxed);
    for place in Place::BOTH {
        memory.word(place.number()).store(numbers[place.0], Ordering::Relaxed);
        memory.word(place.length()).store(lengths[place.0], Ordering::Relaxed);
        memory.copy_in(place.data(), bytes);
    }
    DirectoryReader::open(&fd).expect("in good order")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Departure, Entry, Tombstone};
    use crate::label::Label;
    use ipmb_transport::OutOfRange;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A snapshot in which everything follows from the epoch, so that a torn one shows.
    fn snapshot(epoch: u32) -> Snapshot {
        let label = Label::new([format!("epoch-{epoch}")]).unwrap();
        let entry = |number: u32| Entry {
            id: u64::from(epoch) << 16 | u64::from(number + 1),
            pid: epoch,
            uid: number,
            nonce: [epoch as u8; 16],
            label: label.clone(),
            receiving: epoch.is_multiple_of(2),
        };
        let dead = Tombstone {
            id: u64::MAX - u64::from(epoch),
            pid: epoch,
            uid: epoch,
            label: label.clone(),
            departed: u64::from(epoch),
            reason: Departure::Left,
        };
        let entries = (0..epoch % 50).map(entry).collect();
        Snapshot { term: 1, epoch, controller: u64::from(epoch), predecessors: vec![], entries, tombstones: vec![dead] }
    }

    #[test]
    fn commits_are_read_back() {
        let (mut writer, fd) = DirectoryWriter::create(&snapshot(1)).unwrap();
        let reader = DirectoryReader::open(&fd).unwrap();
        for epoch in 1..200 {
            assert_eq!(reader.word(), snapshot(epoch).word());
            assert_eq!(reader.read().unwrap(), snapshot(epoch));
            writer.commit(&snapshot(epoch + 1)).unwrap();
        }
    }

    #[test]
    fn the_committed_copy_outlives_a_writer_that_dies_while_writing() {
        let (mut writer, fd) = DirectoryWriter::create(&snapshot(7)).unwrap();
        let reader = DirectoryReader::open(&fd).unwrap();
        writer.commit(&snapshot(8)).unwrap();
        // What a commit does first, and then no more.
        let place = writer.spare();
        writer.fill(place, &[0xff; 1000]);
        assert_eq!(writer.memory.word(place.number()).load(Ordering::Relaxed), 0, "half a copy has no number");
        drop(writer);
        assert_eq!(reader.read().unwrap(), snapshot(8));
    }

    #[test]
    fn a_reader_beside_a_writer_gets_whole_snapshots_only() {
        const COMMITS: u32 = 20_000;
        let (mut writer, fd) = DirectoryWriter::create(&snapshot(1)).unwrap();
        let reader = Arc::new(DirectoryReader::open(&fd).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, stop) = (reader.clone(), stop.clone());
                std::thread::spawn(move || {
                    let (mut last, mut read) = (0, 0u32);
                    while !stop.load(Ordering::Relaxed) {
                        match reader.read() {
                            Ok(seen) => {
                                assert_eq!(seen, snapshot(seen.epoch), "torn");
                                assert!(seen.epoch >= last, "backwards");
                                (last, read) = (seen.epoch, read + 1);
                            }
                            Err(DirectoryError::Unsteady) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    read
                })
            })
            .collect();
        for epoch in 2..=COMMITS {
            writer.commit(&snapshot(epoch)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "nothing was read, so nothing was tested");
        }
        assert_eq!(reader.read().unwrap(), snapshot(COMMITS));
    }

    /// The memory of a controller that says the most, and changes it under whoever reads.
    struct Restless {
        looks: Cell<u64>,
        copied: Cell<usize>,
    }

    impl Watched for Restless {
        fn load(&self, offset: usize, order: Ordering) -> u64 {
            match order {
                _ if Place::BOTH.iter().any(|place| place.length() == offset) => limits::DIRECTORY_BYTES as u64,
                // What is asked after the copying.
                Ordering::Relaxed => {
                    self.looks.set(self.looks.get() + 1);
                    self.looks.get()
                }
                _ => self.looks.get(),
            }
        }

        fn copy_out(&self, _offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange> {
            self.copied.set(self.copied.get() + buf.len());
            Ok(())
        }
    }

    #[test]
    fn a_directory_that_never_stands_still_costs_its_readers_little() {
        let reader = DirectoryReader { memory: Restless { looks: Cell::new(1), copied: Cell::new(0) } };
        assert!(matches!(reader.read_living(), Err(DirectoryError::Unsteady)));
        assert_eq!(reader.memory.copied.get(), PATIENCE_BYTES);
    }

    #[test]
    fn what_does_not_fit_leaves_the_last_one_in_place() {
        let (mut writer, fd) = DirectoryWriter::create(&snapshot(1)).unwrap();
        let long = Label::new((0..64).map(|number| format!("{number:064}"))).unwrap();
        let mut huge = snapshot(2);
        huge.entries = (1..=limits::MEMBERS as u64)
            .map(|id| Entry { id, pid: 1, uid: 1, nonce: [0; 16], label: long.clone(), receiving: true })
            .collect();
        assert!(writer.commit(&huge).is_err());
        assert!(DirectoryWriter::create(&huge).is_err());
        let reader = DirectoryReader::open(&fd).unwrap();
        assert_eq!(reader.read().unwrap(), snapshot(1));
        writer.commit(&snapshot(2)).unwrap();
        assert_eq!(reader.read().unwrap(), snapshot(2));
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let (_, fd) = OwnMemory::create("other", MEMORY_BYTES / 2).unwrap();
        assert!(matches!(DirectoryReader::open(&fd), Err(DirectoryError::Memory(_))));
    }

    #[test]
    fn lies_about_length_and_word_are_errors() {
        let good = snapshot(3).encode();
        let (word, len) = (snapshot(3).word(), good.len() as u64);
        assert!(hostile(word, [word; 2], [len; 2], &good).read().is_ok());
        for length in [u64::MAX, limits::DIRECTORY_BYTES as u64 + 1, len - 1, len + 1, 0] {
            let error = hostile(word, [word; 2], [length; 2], &good).read().unwrap_err();
            assert!(matches!(error, DirectoryError::Malformed), "{length}");
        }
        let error = hostile(word + 1, [word + 1; 2], [len; 2], &good).read().unwrap_err();
        assert!(matches!(error, DirectoryError::Malformed));
        let error = hostile(word, [0; 2], [len; 2], &good).read().unwrap_err();
        assert!(matches!(error, DirectoryError::Unsteady));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), word in any::<u64>()) {
            let len = bytes.len() as u64;
            let _ = hostile(word, [word; 2], [len; 2], &bytes).read();
        }
    }
}
