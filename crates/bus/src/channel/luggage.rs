//! What comes with messages over the socket, as their receiver finds it: regions and objects, in order, each checked.

use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use super::KEPT;
use super::inbound::{Inbound, Lie, Special};
use crate::bulk;
use crate::record::{Bulk, Extension, KNOWN, LARGE, Name, Tag};

/// What came with a message over the socket, each as what it was sent as.
pub(crate) struct Luggage {
    pub(crate) bulk: Option<Bulk>,
    pub(crate) regions: Vec<Region>,
    pub(crate) objects: Vec<Fd>,
}

impl Inbound {
    /// Whether all descriptors of a record have been taken off the socket. `false`: the others find no room in this
    /// process.
    #[cold]
    pub(super) fn are_there(&mut self, tag: Tag) -> Result<bool, Lie> {
        let wanted = tag.sent();
        if self.descriptors.len() < wanted {
            self.service_until(wanted)?;
        }
        match self.descriptors.len() < wanted {
            false => Ok(true),
            true if self.starved => Ok(false),
            // They are sent before the record is published.
            true => Err(Lie),
        }
    }

    /// Whether what a message says it has with it has come. `false`: it finds no room in this process.
    #[cold]
    pub(super) fn luggage_is_there(&mut self, tag: Tag, extension: &Extension) -> Result<bool, Lie> {
        let regions = usize::from(tag.flags & LARGE != 0) + usize::from(extension.regions);
        if regions > usize::from(tag.descriptors) || tag.flags & (KNOWN | LARGE) == KNOWN {
            return Err(Lie);
        }
        self.are_there(tag)
    }

    /// What came with the message at the front, checked.
    pub(crate) fn take_luggage(&mut self, special: &Special) -> Result<Option<Box<Luggage>>, Lie> {
        if special.tag.descriptors == 0 { Ok(None) } else { self.unpack(special).map(Some) }
    }

    #[cold]
    fn unpack(&mut self, special: &Special) -> Result<Box<Luggage>, Lie> {
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
            0 => None,
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
            // It is locked from here on, before the message counts as read.
            _ => Some(self.shelf.hold(name).ok_or(Lie)?),
        };
        let bulk = bulk.map(|region| Bulk::at(region, &special.place).ok_or(Lie)).transpose()?;
        let regions = (0..special.extension.regions).map(|_| region()).collect::<Result<_, _>>()?;
        Ok(Box::new(Luggage { bulk, regions, objects: descriptors.collect() }))
    }

    /// The descriptors of the message at the front go with it.
    pub(crate) fn drop_luggage(&mut self, special: &Special) {
        self.descriptors.drain(..special.tag.sent());
    }
}
