//! The receiving half.

use std::cell::RefCell;

use ipmb_binding::arrival::{self, Takes};
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
}

impl Receiver {
    pub(crate) fn new(endpoint: &bus::Endpoint, takes: Takes) -> Receiver {
        Receiver { core: endpoint.receiver(), back: endpoint.sender(), takes, origins: RefCell::default() }
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
                request.tell(&self.back, Some(error.reason.clone()));
            }
        })?;
        Ok(Some(received))
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
