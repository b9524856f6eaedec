//! One message on its way out, and how far it has come.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ipmb_transport::region::Region;
use ipmb_transport::sys::{Fd, Signal, Socket};

use crate::bulk;
use crate::channel::Content;
use crate::error::{Interrupted, InvalidArgument, SendError};
use crate::identity::EndpointId;
use crate::limits;
use crate::record::{Attachments, Bulk, EXTENDED, Extension, HEADER_BYTES, LARGE, REQUEST, TypeId};
use crate::route::RouteId;
use crate::wait;

/// What `send` does when a receiver's ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Waits for room.
    #[default]
    Block,
    /// Fails at once, with nothing sent.
    Error,
    /// Drops the message for that receiver, and counts it.
    Drop,
}

/// A payload in the form in which it travels.
#[derive(Debug)]
pub enum Payload<'a> {
    /// In the ring: at most [`INLINE_BYTES`], or [`limits::LONG_INLINE_BYTES`] where all receivers have rings for that.
    Inline(&'a [u8]),
    /// In a region, shared by all receivers, with a head that travels in the ring.
    Large {
        /// Holds the bulk of it.
        region: Region,
        /// Where the bulk begins.
        offset: usize,
        /// How many bytes it has.
        len: usize,
        /// At most [`limits::HEAD_BYTES`].
        head: &'a [u8],
    },
}

/// Brings a payload into the form in which it travels. Copies what is too long for a ring, so call it with no lock held.
///
/// # Errors
/// When the payload is over [`limits::PAYLOAD_BYTES`], or there is no memory for it.
pub fn prepare(bytes: &[u8]) -> Result<Payload<'_>, SendError> {
    let len = bytes.len() as u64;
    if len > limits::PAYLOAD_BYTES {
        return Err(SendError::TooLarge { len, max: limits::PAYLOAD_BYTES });
    }
    if bytes.len() <= INLINE_BYTES {
        return Ok(Payload::Inline(bytes));
    }
    Ok(Payload::Large { region: bulk::copy(bytes)?, offset: 0, len: bytes.len(), head: &[] })
}

/// The longest payload that travels in any ring; an extension leaves its place free.
pub const INLINE_BYTES: usize = limits::RECORD_BYTES - HEADER_BYTES - crate::record::SHORT_EXTENSION_BYTES;

/// A payload that is too long, or not where it should be, is refused before anything is looked up for it.
#[inline]
fn check_payload(inline: &[u8], bulk: Option<&Bulk>) -> Result<(), SendError> {
    let Some(bulk) = bulk else {
        let (len, max) = (inline.len() as u64, limits::LONG_INLINE_BYTES as u64);
        return if len <= max { Ok(()) } else { Err(SendError::TooLarge { len, max }) };
    };
    let size = bulk.region.size();
    if bulk.offset > size || bulk.len > size - bulk.offset {
        let value = format!("{} bytes at {}", bulk.len, bulk.offset);
        return Err(
            InvalidArgument::new("payload", value, format!("give a range of the {size} bytes of its region")).into()
        );
    }
    check_count("head of the payload", inline.len(), limits::HEAD_BYTES)?;
    match bulk.len as u64 {
        0..=limits::PAYLOAD_BYTES => Ok(()),
        len => Err(SendError::TooLarge { len, max: limits::PAYLOAD_BYTES }),
    }
}

fn check_count(argument: &'static str, count: usize, most: usize) -> Result<(), SendError> {
    if count <= most {
        return Ok(());
    }
    Err(InvalidArgument::new(argument, format!("{count} long"), format!("give at most {most}")).into())
}

/// One message on its way.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(crate) route: RouteId,
    pub(crate) overflow: Overflow,
    pub(crate) type_id: TypeId,
    pub(crate) flags: u8,
    /// In the ring: all of it, or the head of a large one.
    inline: &'a [u8],
    pub(crate) bulk: Option<Bulk>,
    pub(crate) extension: Extension,
    encoded_extension: Vec<u8>,
    /// `None` for most.
    pub(crate) attachments: Option<Box<Attachments>>,
    /// Endpoints that have it.
    pub(crate) reached: usize,
    /// Those of a multicast that do not have it yet.
    pub(crate) remaining: Option<Vec<EndpointId>>,
    pub(crate) signal: Option<Arc<Signal>>,
    pub(crate) sockets: Vec<Arc<Socket>>,
    /// When to look again although nothing has happened.
    pub(crate) until: Option<u64>,
    pub(crate) patient: bool,
    pub(crate) tries: u32,
    /// When a request that nobody matches has waited long enough.
    pub(crate) expiry: Option<u64>,
}

impl<'a> Outgoing<'a> {
    /// A message to those a route leads to.
    ///
    /// # Errors
    /// When the payload is too long, or not where it is said to be.
    #[inline]
    pub fn new(
        route: RouteId,
        type_id: TypeId,
        payload: Payload<'a>,
        overflow: Overflow,
    ) -> Result<Outgoing<'a>, SendError> {
        let mut flags = 0;
        let (inline, bulk) = match payload {
            Payload::Inline(bytes) => (bytes, None),
            Payload::Large { region, offset, len, head } => {
                flags |= LARGE;
                (head, Some(Bulk { region, offset, len }))
            }
        };
        check_payload(inline, bulk.as_ref())?;
        Ok(Outgoing {
            route,
            overflow,
            type_id,
            flags,
            inline,
            bulk,
            extension: Extension::default(),
            encoded_extension: Vec::new(),
            attachments: None,
            reached: 0,
            remaining: None,
            signal: None,
            sockets: Vec::new(),
            until: None,
            patient: false,
            tries: 0,
            expiry: None,
        })
    }

    /// Lets regions and objects travel with it, once.
    ///
    /// # Errors
    /// When there are more than [`limits::REGIONS_PER_MESSAGE`] and [`limits::OBJECTS_PER_MESSAGE`].
    pub fn attach(&mut self, regions: Vec<Region>, objects: Vec<Fd>) -> Result<(), SendError> {
        check_count("list of memory regions", regions.len(), limits::REGIONS_PER_MESSAGE)?;
        check_count("list of objects", objects.len(), limits::OBJECTS_PER_MESSAGE)?;
        if !regions.is_empty() {
            self.flags |= EXTENDED;
            self.extension.regions = regions.len() as u16;
            self.encoded_extension = self.extension.encode();
        }
        let objects = objects.into_iter().map(Arc::new).collect();
        self.attachments = Some(Box::new(Attachments { regions, objects }));
        Ok(())
    }

    /// Makes it a request, or the reply to one, under the asker's number.
    pub fn correlate(&mut self, correlation: u64, request: bool) {
        self.extension.correlation = Some(correlation);
        self.encoded_extension = self.extension.encode();
        self.flags |= EXTENDED;
        if request {
            self.flags |= REQUEST;
        }
    }

    /// The same message for another number of the same selector.
    pub fn reroute(&mut self, route: RouteId) {
        self.route = route;
    }

    /// Endpoints that have it so far.
    pub fn reached(&self) -> usize {
        self.reached
    }

    pub(crate) fn waits(&self) -> bool {
        self.signal.is_some()
    }

    #[inline]
    pub(crate) fn content(&self) -> Content<'_> {
        let (regions, objects) = match &self.attachments {
            None => (&[][..], &[][..]),
            Some(attachments) => (&attachments.regions[..], &attachments.objects[..]),
        };
        Content {
            flags: self.flags,
            type_id: self.type_id,
            extension: &self.encoded_extension,
            payload: self.inline,
            bulk: self.bulk.as_ref(),
            regions,
            objects,
        }
    }

    /// How many descriptors travel with it.
    #[inline]
    pub(crate) fn descriptors(&self) -> usize {
        usize::from(self.bulk.is_some()) + self.attachments.as_ref().map_or(0, |attachments| attachments.len())
    }

    /// Everything but the payload, which comes back with [`Outgoing::lend`].
    pub(super) fn without_payload(self) -> Outgoing<'static> {
        let Outgoing {
            route,
            overflow,
            type_id,
            flags,
            inline: _,
            bulk,
            extension,
            encoded_extension,
            attachments,
            ..
        } = self;
        let Outgoing { reached, remaining, signal, sockets, until, patient, tries, expiry, .. } = self;
        Outgoing {
            route,
            overflow,
            type_id,
            flags,
            inline: &[],
            bulk,
            extension,
            encoded_extension,
            attachments,
            reached,
            remaining,
            signal,
            sockets,
            until,
            patient,
            tries,
            expiry,
        }
    }

    /// The payload it was made with, or the head of a large one.
    pub(super) fn inline(&self) -> &'a [u8] {
        self.inline
    }

    /// The opposite of [`Outgoing::without_payload`].
    pub(super) fn lend(self, inline: &'a [u8]) -> Outgoing<'a> {
        Outgoing { inline, ..self }
    }

    /// What tells of room.
    pub(super) fn waits_on(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sockets = self.sockets.iter().map(|socket| socket.fd().as_fd());
        sockets.chain(self.signal.iter().map(|signal| signal.as_fd()))
    }

    /// Sleeps until there may be room, or `deadline` (monotonic nanoseconds). Call after `try_send` said `Blocked`.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn wait(&mut self, deadline: Option<u64>) -> Result<(), Interrupted> {
        let descriptors: Vec<_> = self.waits_on().collect();
        let woken = wait::on(&descriptors, wait::left([deadline, self.until]))?;
        self.tries += u32::from(!woken);
        Ok(())
    }
}
