//! Records that are no messages: what a sender says of its routes, its ring and the regions it names.

use std::sync::Arc;

use ipmb_transport::ring::Record;

use super::ROOM;
use super::inbound::{Inbound, Lie, Road};
use super::known::Shelf;
use crate::limits;
use crate::record::{Kind, Tag};
use crate::selector::Selector;

impl Inbound {
    /// Takes in a record that is no message. `false`: it finds no room in this process.
    #[cold]
    pub(super) fn news(&mut self, record: Record) -> Result<bool, Lie> {
        let tag = Tag::decode(record.tag).ok_or(Lie)?;
        match tag.kind {
            Kind::Route => self.define(record)?,
            Kind::Void => {
                if tag.descriptors == 0 {
                    return Err(Lie);
                }
                if !self.are_there(tag)? {
                    return Ok(false);
                }
                self.descriptors.drain(..usize::from(tag.descriptors));
                self.consume(record);
            }
            Kind::Switch => self.switch(record)?,
            Kind::Forget => self.forget(record)?,
            Kind::Message => return Err(Lie),
        }
        Ok(true)
    }

    /// The ring goes on in the larger memory.
    #[cold]
    fn switch(&mut self, record: Record) -> Result<(), Lie> {
        if self.ring.switch(record).map_err(|_| Lie)? {
            self.socket.knock(ROOM);
        }
        Ok(())
    }

    #[cold]
    fn define(&mut self, record: Record) -> Result<(), Lie> {
        if record.len < 4 || record.len > 4 + limits::SELECTOR_BYTES {
            return Err(Lie);
        }
        let mut bytes = vec![0; record.len];
        self.ring.copy_out(&record, 0, &mut bytes);
        let route = u32::from_le_bytes(bytes[..4].try_into().map_err(|_| Lie)?);
        let selector = Selector::decode(&bytes[4..]).map_err(|_| Lie)?;
        if route as usize >= limits::ROUTES {
            return Err(Lie);
        }
        let place = route as usize;
        if self.routes.len() <= place {
            self.routes.resize_with(place + 1, || None);
        }
        self.routes[place] = Some(Road { selector: Arc::new(selector), face: Arc::default() });
        self.consume(record);
        Ok(())
    }

    #[cold]
    fn forget(&mut self, record: Record) -> Result<(), Lie> {
        let mut slot = [0; 4];
        if record.len != slot.len() {
            return Err(Lie);
        }
        self.ring.copy_out(&record, 0, &mut slot);
        self.shelf.forget(u32::from_le_bytes(slot));
        self.consume(record);
        Ok(())
    }

    /// Takes in what stands before the next message about regions that are kept; of a sender that is gone none is, once all
    /// is read. Nothing is taken off the socket: doorbells are for whoever receives. Returns how many are kept.
    pub(crate) fn tidy(&mut self) -> usize {
        while self.shelf.kept() > 0
            && let Ok(Some(record)) = self.ring.peek()
            && Tag::kind(record.tag) == Some(Kind::Forget)
            && self.forget(record).is_ok()
        {}
        if self.shelf.kept() > 0 && self.socket.has_hung_up() && !matches!(self.ring.peek(), Ok(Some(_))) {
            self.shelf = Shelf::default();
        }
        self.shelf.kept()
    }
}
