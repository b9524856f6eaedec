//! The directory as a hostile controller publishes it: words, lengths and bytes of its choice.

use super::case::Case;
use crate::directory::{Departed, DirectoryError, Living, Snapshot, hostile};
use crate::limits;
use crate::roster::Roster;

/// A case is the words of the memory, then what both copies hold.
pub fn directory(data: &[u8]) {
    let mut case = Case::new(data);
    let lies = case.byte();
    let [word, first, second] = [case.word() << 32 | case.word(), case.word(), case.word()];
    let [shorter, longer] = [u64::from(case.byte()), case.word()];
    let bytes = case.rest();
    decode(bytes);
    let len = bytes.len() as u64;
    let word = Living::decode(bytes).map_or(word, |living| if lies & 1 == 0 { living.word() } else { word });
    let numbers = if lies & 2 == 0 { [word; 2] } else { [first, second] };
    // Lengths in between take long to read and say nothing new.
    let beyond = (limits::DIRECTORY_BYTES as u64 + 1).saturating_add(longer);
    let lengths = match lies & 12 {
        0 | 4 => [len; 2],
        8 => [len.saturating_sub(shorter); 2],
        _ => [beyond, len + shorter],
    };
    let reader = hostile(word, numbers, lengths, bytes);
    assert_eq!(reader.word(), word);
    match reader.read() {
        Ok(snapshot) => {
            assert_eq!(snapshot.word(), word);
            let living = reader.read_living().expect("it was decoded above");
            assert_eq!(living.entries, snapshot.entries);
            assert_eq!(Departed::all(&living.departed), snapshot.tombstones);
        }
        Err(DirectoryError::Memory(error)) => panic!("{error}"),
        Err(DirectoryError::Unsteady | DirectoryError::Malformed) => {}
    }
}

/// As bytes alone, without the memory around them.
fn decode(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        assert!(snapshot.entries.len() <= limits::MEMBERS && snapshot.tombstones.len() <= limits::TOMBSTONES);
        assert!(Living::decode(bytes).is_ok(), "what is good as a whole is good in part");
        assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
    }
    if let Ok(living) = Living::decode(bytes) {
        let ids: Vec<_> = living.entries.iter().map(|entry| entry.id).collect();
        let first_departed = Departed::all(&living.departed).first().map(|dead| dead.id);
        let roster = Roster::new(living, &Roster::default());
        assert!(ids.iter().all(|&id| roster.member(id).is_some_and(|peer| peer.info.id == id)));
        assert!(first_departed.is_none_or(|id| roster.known(id).is_some()));
    }
}
