//! What comes with messages over the socket, as their receiver finds it: regions and objects, in order, each checked.

use std::io;

use ipmb_transport::region::{Again, Region};
use ipmb_transport::sys::Fd;

use super::KEPT;
use super::inbound::{Inbound, Lie, Special};
use crate::bulk;
use crate::record::{Bulk, Extension, KNOWN, LARGE, Name, PLACE_BYTES, Tag};

/// A part of a region that we do not hold, in memory of our own.
fn copied(again: &Again, offset: usize, len: usize) -> io::Result<Bulk> {
    const PIECE: usize = 1 << 16;
    // A payload may be nothing, a region may not.
    let region = bulk::alloc(len.max(1))?;
    let view = region.map(0, len)?;
    let mut piece = vec![0; len.min(PIECE)];
    for at in (0..len).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(len - at)];
        again.read(offset + at, piece)?;
        view.write(at, piece)?;
    }
    Ok(Bulk { region, offset: 0, len })
}

/// What came with a message over the socket, each as what it was sent as.
pub(crate) struct Luggage {
    pub(crate) bulk: Option<Bulk>,
    pub(crate) regions: Vec<Region>,
    pub(crate) objects: Vec<Fd>,
}

impl Inbound {
    /// Whether all descriptors of a record have been taken off the socket. `false`: the others find no room in this
    /// process, or stand behind too much else.
    #[cold]
    pub(super) fn are_there(&mut self, tag: Tag) -> Result<bool, Lie> {
        let wanted = tag.sent();
        if self.descriptors.len() < wanted {
            self.service_until(wanted)?;
        }
        match self.descriptors.len() < wanted {
            false => Ok(true),
            true if self.starved || self.unfinished() => Ok(false),
            // They are sent before the record is published.
            true => Err(Lie),
        }
    }

    /// Whether what a message says it has with it has come. `false`: it does not all find room in this process, or not yet.
    #[cold]
    pub(super) fn luggage_is_there(&mut self, tag: Tag, extension: &Extension) -> Result<bool, Lie> {
        let regions = usize::from(tag.flags & LARGE != 0) + usize::from(extension.regions);
        if regions > usize::from(tag.descriptors) || tag.flags & (KNOWN | LARGE) == KNOWN {
            return Err(Lie);
        }
        self.are_there(tag)
    }

    /// The payload in a region that was kept, which is locked from here on, before the message counts as read. `None`: it
    /// finds no room in this process.
    ///
    /// Whoever was ever sent that region can keep us from locking it, which says nothing of the sender. That keeps it until
    /// the message counts as read, so there is time for a copy.
    #[cold]
    pub(super) fn hold_named(&mut self, place: &[u8; PLACE_BYTES]) -> Result<Option<Bulk>, Lie> {
        let again = self.shelf.named(Name::of(place)).ok_or(Lie)?;
        match again.hold() {
            Ok(region) => Bulk::at(region, place).ok_or(Lie).map(Some),
            Err(_) => {
                let (offset, len) = Bulk::range(again.size(), place).ok_or(Lie)?;
                Ok(copied(again, offset, len).ok())
            }
        }
    }

    /// What came with the message at the front, checked.
    pub(crate) fn take_luggage(&mut self, special: &mut Special) -> Result<Option<Box<Luggage>>, Lie> {
        if special.tag.descriptors == 0 { Ok(None) } else { self.unpack(special).map(Some) }
    }

    #[cold]
    fn unpack(&mut self, special: &mut Special) -> Result<Box<Luggage>, Lie> {
        let mut descriptors = self.descriptors.drain(..special.tag.sent());
        let (holder, bad_memory) = (self.holder, &mut self.bad_memory);
        let mut region = || {
            let fd = descriptors.next().ok_or(Lie)?;
            Region::open(fd, holder).map_err(|_| {
                *bad_memory = true;
                Lie
            })
        };
        let name = Name::of(&special.place);
        let bulk = match special.tag.flags & (LARGE | KNOWN) {
            LARGE => {
                bulk::keep_house();
                let region = region()?;
                if name != Name::default() && self.shelf.offered(name, &region).ok_or(Lie)? {
                    let [a, b, c, d] = name.offer.to_le_bytes();
                    // Where it cannot be told it goes on sending.
                    let _ = self.socket.send(&[KEPT, a, b, c, d], &[]);
                }
                Some(region)
            }
            _ => None,
        };
        let bulk = match bulk {
            Some(region) => Some(Bulk::at(region, &special.place).ok_or(Lie)?),
            None => special.named.take(),
        };
        let regions = (0..special.extension.regions).map(|_| region()).collect::<Result<_, _>>()?;
        Ok(Box::new(Luggage { bulk, regions, objects: descriptors.collect() }))
    }

    /// The descriptors of the message at the front go with it.
    pub(crate) fn drop_luggage(&mut self, special: &Special) {
        self.descriptors.drain(..special.tag.sent());
    }
}
