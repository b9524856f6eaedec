//! The requests of one endpoint: a number for each, and one place at which all of them end.

use std::cell::RefCell;
use std::rc::Rc;

use ipmb_binding::{letter, requests, to};
use ipmb_bus::Overflow;
use napi::bindgen_prelude::{BigInt, Either, Env};
use napi_derive::napi;

use crate::failure::{Result, told};
use crate::label_op::LabelOp;
use crate::luggage::Luggage;
use crate::message::{Origins, Received};
use crate::sender::{Payload, Pending, Sender, number, selector};

/// What became of a request.
#[napi(object, object_from_js = false)]
pub struct Answer<'env> {
    /// Its number.
    pub number: BigInt,
    /// The reply.
    pub reply: Option<Received<'env>>,
    /// The name of the error there is instead.
    pub code: Option<String>,
    /// What it says.
    pub text: Option<String>,
}

/// The requests of one endpoint.
#[napi]
pub struct Requests {
    pub(crate) requests: Rc<requests::Requests>,
    origins: RefCell<Origins>,
}

#[napi]
impl Requests {
    /// Those of the endpoint a sender belongs to. Make one for an endpoint.
    #[napi(factory, catch_unwind)]
    pub fn of(sender: &Sender) -> Result<Requests> {
        let requests = requests::Requests::new(&sender.core).map_err(told)?;
        Ok(Requests { requests: Rc::new(requests), origins: RefCell::default() })
    }

    /// A number for a request that is about to be sent.
    #[napi(catch_unwind)]
    pub fn begin(&self) -> Result<BigInt> {
        self.requests.begin().map(BigInt::from).map_err(told)
    }

    /// Sends the request of a number: how many have it, or what waits for room, or for somebody who matches.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)]
    pub fn ask(
        &self,
        sender: &Sender,
        request: BigInt,
        op: &LabelOp,
        ttl: f64,
        kind: &[u8],
        head: &[u8],
        data: &[u8],
        luggage: Option<&Luggage>,
    ) -> Result<Either<u32, Pending>> {
        let to = to::To::Asked(selector(op, false, ttl)?);
        let correlation: letter::Correlation = (number("request", &request)?, true);
        let payload = Payload { kind, parts: [head, data] };
        sender.start(to, &payload, luggage, Some(correlation), Overflow::Block)
    }

    /// Nobody waits for this number any more.
    #[napi(catch_unwind)]
    pub fn forget(&self, request: BigInt) -> Result<()> {
        self.requests.forget(number("request", &request)?);
        Ok(())
    }

    /// What became of requests since the last call.
    #[napi(catch_unwind)]
    pub fn collect<'env>(&self, env: &'env Env) -> Result<Vec<Answer<'env>>> {
        let ended = self.requests.collect().map_err(told)?;
        let answer = |(number, reply): (u64, requests::Reply)| {
            let number = BigInt::from(number);
            // What cannot be mapped or copied out is this request's own error, not that of all.
            match reply.map_err(told).and_then(|arrival| Received::of(env, arrival, &self.origins)) {
                Ok(reply) => Answer { number, reply: Some(reply), code: None, text: None },
                Err(error) => {
                    Answer { number, reply: None, code: Some(error.status.to_owned()), text: Some(error.reason) }
                }
            }
        };
        Ok(ended.into_iter().map(answer).collect())
    }
}
