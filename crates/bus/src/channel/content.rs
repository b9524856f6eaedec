//! One message on its way into a ring, whatever it was before: fresh, read back, or taken out of a parking area.

use std::sync::Arc;

use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use crate::record::{Bulk, HEADER_BYTES, PLACE_BYTES, TypeId};

/// One message on its way into a ring.
pub(crate) struct Content<'a> {
    pub(crate) flags: u8,
    pub(crate) type_id: TypeId,
    /// Encoded; empty for none.
    pub(crate) extension: &'a [u8],
    /// For a large one its head.
    pub(crate) payload: &'a [u8],
    pub(crate) bulk: Option<&'a Bulk>,
    pub(crate) regions: &'a [Region],
    pub(crate) objects: &'a [Arc<Fd>],
}

impl Content<'_> {
    /// Bytes of the record's body.
    pub(crate) fn body_len(&self) -> usize {
        let place = if self.bulk.is_some() { PLACE_BYTES } else { 0 };
        HEADER_BYTES + self.extension.len() + place + self.payload.len()
    }

    /// How many descriptors travel with it.
    #[inline]
    pub(crate) fn descriptors(&self) -> usize {
        usize::from(self.bulk.is_some()) + self.regions.len() + self.objects.len()
    }

    /// Bytes of its payload, wherever they are.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        self.payload.len() + self.bulk.map_or(0, |bulk| bulk.len)
    }

    /// Bytes in regions that its receiver comes to hold.
    pub(crate) fn region_bytes(&self) -> usize {
        let bulk = self.bulk.map_or(0, |bulk| bulk.len);
        self.regions.iter().fold(bulk, |sum, region| sum.saturating_add(region.size()))
    }
}
