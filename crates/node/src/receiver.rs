//! The receiving half.

use std::cell::RefCell;

use ipmb_binding::arrival::{self, Takes};
use ipmb_binding::refusal::Refused;
use ipmb_bus as bus;
use napi::bindgen_prelude::Env;
use napi_derive::napi;

use crate::failure::{Result, told};
use crate::message::{Origins, Received};

/// The receiving half of an endpoint.
#[napi]
pub struct Receiver {
    pub(crate) core: bus::Receiver,
    /// What those who ask for what is not taken are told through.
    back: bus::Sender,
    takes: Takes,
    origins: RefCell<Origins>,
    /// The request that could not be handed to JavaScript last, and why.
    unseen: RefCell<Option<(Refused, String)>>,
}

impl Receiver {
    pub(crate) fn new(endpoint: &bus::Endpoint, takes: Takes) -> Receiver {
        Receiver {
            core: endpoint.receiver(),
            back: endpoint.sender(),
            takes,
            origins: RefCell::default(),
            unseen: RefCell::default(),
        }
    }
}

#[napi]
impl Receiver {
    /// The next message, if one is there. For the last time: one who is about to say that there is none.
    #[napi(catch_unwind)]
    pub fn poll<'env>(&self, env: &'env Env, last: bool) -> Result<Option<Received<'env>>> {
        let (back, takes) = (Some(&self.back), &self.takes);
        let arrival =
            if last { arrival::recv(&self.core, back, takes, Some(0)) } else { arrival::poll(&self.core, back, takes) };
        let arrival = arrival.map_err(told)?;
        let Some(arrival) = arrival else { return Ok(None) };
        let request = arrival.request;
        let received = Received::of(env, arrival, &self.origins).inspect_err(|error| {
            if let Some(request) = request {
                self.unseen.replace(Some((request, error.reason.clone())));
            }
        })?;
        Ok(Some(received))
    }

    /// Tells who asked by the message that `poll` has just failed for. Not told there: in an environment that is being
    /// terminated everything fails, and who asked it is to get `PeerLost`. Such a one does not come here.
    #[napi(catch_unwind)]
    pub fn refuse_unseen(&self) {
        if let Some((request, why)) = self.unseen.take() {
            request.tell(&self.back, Some(why));
        }
    }

    /// What to say when no message came in time.
    #[napi(catch_unwind)]
    pub fn late(&self) -> String {
        arrival::late(&self.core).text
    }

    /// Whether this half is closed.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Closes this half: unread messages go to others who match.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.core.close();
    }
}
