//! Where a message goes, whichever way it was named, and the number under which its sender routes it.

use std::sync::Arc;

use ipmb_bus::error::SendError;
use ipmb_bus::identity::EndpointId;
use ipmb_bus::selector::Selector;
use ipmb_bus::{RouteId, Sender};

/// The target of a message.
#[derive(Clone, Debug)]
pub enum To {
    /// Those who match.
    Selector(Arc<Selector>),
    /// One endpoint, whatever its label.
    Endpoint(EndpointId),
    /// One of those who match, which is asked.
    Asked(Arc<Selector>),
    /// One endpoint that asked, and waits for the reply.
    Asker(EndpointId),
}

impl To {
    /// Its route. When the table of routes was collected meanwhile (`StaleRoute`), asking again gives the new one.
    ///
    /// # Errors
    /// See [`Sender::intern`] and [`Sender::intern_request`].
    pub fn route(&self, core: &Sender) -> Result<RouteId, SendError> {
        match self {
            To::Selector(selector) => core.intern(selector),
            To::Endpoint(id) => core.intern_endpoint(*id),
            To::Asked(selector) => core.intern_request(selector),
            To::Asker(id) => core.intern_reply(*id),
        }
    }
}
