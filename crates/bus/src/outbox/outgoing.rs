//! One message on its way out, and how far it has come.

use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::blob::Blob;
use ipmb_transport::sys::{Fd, Signal, Socket};

use crate::channel::Content;
use crate::error::{Interrupted, InvalidArgument, SendError};
use crate::identity::EndpointId;
use crate::limits;
use crate::record::{EXTENDED, Extension, HEADER_BYTES, LARGE, REQUEST, TypeId};
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
    /// In the ring.
    Inline(&'a [u8]),
    /// In a memory file of its own, shared by all receivers. The bytes are kept for the case that it has to wait.
    Large(Arc<Fd>, &'a [u8], [u8; 8]),
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
    Ok(Payload::Large(Arc::new(Blob::create(&[bytes])?), bytes, len.to_le_bytes()))
}

/// The longest payload that travels in a ring; an extension leaves its place free.
pub const INLINE_BYTES: usize = limits::RECORD_BYTES - HEADER_BYTES - crate::record::SHORT_EXTENSION_BYTES;

/// One message on its way.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(crate) route: RouteId,
    pub(crate) overflow: Overflow,
    pub(crate) type_id: TypeId,
    pub(crate) flags: u8,
    pub(crate) payload: Payload<'a>,
    pub(crate) extension: Extension,
    encoded_extension: Vec<u8>,
    /// The memory file of a large payload first, then the attachments.
    pub(crate) descriptors: Vec<Arc<Fd>>,
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
}

impl<'a> Outgoing<'a> {
    /// A message to those a route leads to.
    ///
    /// # Errors
    /// When there are more descriptors than [`limits::OBJECTS_PER_MESSAGE`].
    pub fn new(
        route: RouteId,
        type_id: TypeId,
        payload: Payload<'a>,
        attachments: Vec<Fd>,
        overflow: Overflow,
    ) -> Result<Outgoing<'a>, SendError> {
        let mut flags = 0;
        let mut descriptors = Vec::new();
        if let Payload::Large(memory, ..) = &payload {
            flags |= LARGE;
            descriptors.push(memory.clone());
        }
        descriptors.extend(attachments.into_iter().map(Arc::new));
        if descriptors.len() > limits::OBJECTS_PER_MESSAGE {
            return Err(SendError::Invalid(InvalidArgument::new(
                "objects",
                format!("{} descriptors, that of a large payload included", descriptors.len()),
                format!("give at most {}", limits::OBJECTS_PER_MESSAGE),
            )));
        }
        Ok(Outgoing {
            route,
            overflow,
            type_id,
            flags,
            payload,
            extension: Extension::default(),
            encoded_extension: Vec::new(),
            descriptors,
            reached: 0,
            remaining: None,
            signal: None,
            sockets: Vec::new(),
            until: None,
            patient: false,
            tries: 0,
        })
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
        let payload = match &self.payload {
            Payload::Inline(bytes) => bytes,
            Payload::Large(_, _, len) => len.as_slice(),
        };
        Content {
            flags: self.flags,
            type_id: self.type_id,
            extension: &self.encoded_extension,
            payload,
            descriptors: &self.descriptors,
        }
    }

    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        self.bytes().len()
    }

    /// The payload itself, wherever it travels.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self.payload {
            Payload::Inline(bytes) | Payload::Large(_, bytes, _) => bytes,
        }
    }

    /// Sleeps until there may be room, or `deadline` (monotonic nanoseconds). Call after `try_send` said `Blocked`.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn wait(&mut self, deadline: Option<u64>) -> Result<(), Interrupted> {
        let mut descriptors: Vec<_> = self.sockets.iter().map(|socket| socket.fd().as_fd()).collect();
        if let Some(signal) = &self.signal {
            descriptors.push(signal.as_fd());
        }
        let woken = wait::on(&descriptors, wait::left([deadline, self.until]))?;
        self.tries += u32::from(!woken);
        Ok(())
    }
}
