//! What messages that wait, or were left unread, need on their way to somebody: the directory as it is known here, the
//! channels, the clock.
//!
//! An endpoint's sending half has all that. The simulator has it in a made-up world, with the same code on top: what
//! [`waiting`](super::waiting) and [`dead`](super::dead) decide is decided by their provided methods.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use ipmb_transport::sys;

use super::State;
use super::link::Offer;
use crate::channel::Content;
use crate::error::SendError;
use crate::identity::EndpointId;
use crate::incidents::Tally;
use crate::memory::Written;
use crate::parking::Parking;
use crate::record::OwnedMessage;
use crate::roster::Roster;
use crate::route::{RouteId, RouteTable};
use crate::selector::Selector;
use crate::stats::SendCounters;

/// A message that its receiver left unread, and the number it was routed by.
pub(crate) type Left = (RouteId, OwnedMessage);

pub(crate) trait Road: Sized {
    /// Where messages wait.
    type Memory: Written;

    fn me(&self) -> EndpointId;
    fn now(&self) -> u64;
    fn roster(&self) -> &Arc<Roster>;
    fn parking(&mut self) -> &mut Parking<Self::Memory>;
    fn routes(&mut self) -> &mut RouteTable;
    fn counters(&mut self) -> &mut SendCounters;
    fn tally(&self) -> &Tally;

    /// Members that the directory still lists and the kernel says are gone.
    fn gone(&self) -> &HashSet<EndpointId>;
    /// Receivers for whom messages that waited go first, and found the ring full.
    fn held(&mut self) -> &mut HashSet<EndpointId>;
    /// What dead receivers left unread, on its way to somebody else.
    fn backlog(&mut self) -> &mut VecDeque<Left>;
    /// Whether a receiver was found dead since the backlog was looked at.
    fn unsettled(&mut self) -> &mut bool;
    /// How long the next look waits while nothing moves.
    fn patience(&mut self) -> &mut u64;

    /// The number under which a selector is routed.
    fn number(&mut self, selector: &Arc<Selector>) -> Result<RouteId, SendError>;
    /// Offers a message to one endpoint.
    fn offer_to(&mut self, route: RouteId, id: EndpointId, content: &Content<'_>) -> Result<Offer, SendError>;
    /// Has somebody look again at that time, or sooner if that was asked for already.
    fn schedule(&mut self, at: u64);
    /// Whether changes of the directory have to be heard of may have changed.
    fn update_interest(&mut self);
}

impl Road for State {
    type Memory = ipmb_transport::memory::OwnMemory;

    fn me(&self) -> EndpointId {
        self.me.id
    }

    fn now(&self) -> u64 {
        sys::now()
    }

    fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    fn parking(&mut self) -> &mut Parking {
        &mut self.parking
    }

    fn routes(&mut self) -> &mut RouteTable {
        &mut self.routes
    }

    fn counters(&mut self) -> &mut SendCounters {
        &mut self.counters
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn gone(&self) -> &HashSet<EndpointId> {
        &self.gone
    }

    fn held(&mut self) -> &mut HashSet<EndpointId> {
        &mut self.held
    }

    fn backlog(&mut self) -> &mut VecDeque<Left> {
        &mut self.backlog
    }

    fn unsettled(&mut self) -> &mut bool {
        &mut self.unsettled
    }

    fn patience(&mut self) -> &mut u64 {
        &mut self.retry_nanos
    }

    fn number(&mut self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        self.intern(selector)
    }

    fn offer_to(&mut self, route: RouteId, id: EndpointId, content: &Content<'_>) -> Result<Offer, SendError> {
        State::offer_to(self, route, id, content)
    }

    fn schedule(&mut self, at: u64) {
        State::schedule(self, at);
    }

    fn update_interest(&mut self) {
        State::update_interest(self);
    }
}
