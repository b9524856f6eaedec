//! The route cache: from a selector to those who match it, computed once per selector and directory epoch.
//!
//! A route has a small number that stands in each record of the ring. Numbers are used again once nothing in flight
//! names them; a generation beside the number tells a caller that its number is stale.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::EndpointId;
use crate::label_op::LabelOp;
use crate::limits;
use crate::roster::Roster;
use crate::selector::{Mode, Selector};

/// A caller's handle on an interned selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl RouteId {
    /// The handle as one number, for tables that are read without a lock.
    #[inline]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The handle that [`to_bits`](RouteId::to_bits) gave.
    #[inline]
    pub fn from_bits(bits: u64) -> RouteId {
        RouteId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// One endpoint that matches, and the place of the channel to it once that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) id: EndpointId,
    pub(crate) channel: Option<usize>,
}

/// What a route is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// An encoded selector.
    Selector(Arc<[u8]>),
    /// The same for requests.
    Request(Arc<[u8]>),
    /// One endpoint, whatever its label.
    Endpoint(EndpointId),
    /// Its door for replies.
    Replies(EndpointId),
}

/// What becomes of the messages of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One of the matches gets each.
    One,
    /// All of them get each.
    All,
    /// One of them gets each, and is expected to reply.
    Ask,
    /// They are replies for this endpoint.
    Reply(EndpointId),
}

/// An interned selector with the matches of one epoch.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) selector: Arc<Selector>,
    pub(crate) encoded: Arc<[u8]>,
    pub(crate) generation: u32,
    pub(crate) way: Way,
    pub(crate) targets: Vec<Target>,
    /// Where the next unicast starts to look, so that it spreads over the matches.
    pub(crate) next: usize,
    name: Name,
    /// The directory word the targets were computed from.
    word: u64,
    live: bool,
}

#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    routes: Vec<Route>,
    numbers: HashMap<Name, u32>,
    free: Vec<u32>,
}

impl RouteTable {
    /// The number of a selector, if it has one or one is free. `None`: collect first.
    pub(crate) fn intern(&mut self, selector: &Arc<Selector>) -> Option<RouteId> {
        let encoded: Arc<[u8]> = selector.encode().into();
        self.find_or_add(Name::Selector(encoded.clone()), || (selector.clone(), encoded))
    }

    /// The same for requests.
    pub(crate) fn intern_request(&mut self, selector: &Arc<Selector>) -> Option<RouteId> {
        let encoded: Arc<[u8]> = selector.encode().into();
        self.find_or_add(Name::Request(encoded.clone()), || (selector.clone(), encoded))
    }

    /// The number of the route to the door at which an endpoint takes replies.
    pub(crate) fn intern_replies(&mut self, id: EndpointId) -> Option<RouteId> {
        self.find_or_add(Name::Replies(id), to_nobody)
    }

    /// The number of the route to one endpoint. Its selector matches nobody by label, and so is never taken for the
    /// way to somebody else.
    pub(crate) fn intern_endpoint(&mut self, id: EndpointId) -> Option<RouteId> {
        self.find_or_add(Name::Endpoint(id), to_nobody)
    }

    fn find_or_add(&mut self, name: Name, make: impl FnOnce() -> (Arc<Selector>, Arc<[u8]>)) -> Option<RouteId> {
        if let Some(&index) = self.numbers.get(&name) {
            return Some(RouteId { index, generation: self.routes[index as usize].generation });
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.routes.len() < limits::ROUTES => self.routes.len() as u32,
            None => return None,
        };
        let (selector, encoded) = make();
        let way = match (&name, selector.mode) {
            (Name::Request(_), _) => Way::Ask,
            (Name::Replies(id), _) => Way::Reply(*id),
            (_, Mode::Unicast) => Way::One,
            (_, Mode::Multicast) => Way::All,
        };
        let generation = self.routes.get(index as usize).map_or(1, |route| route.generation);
        let route = Route {
            selector,
            encoded,
            generation,
            way,
            targets: Vec::new(),
            next: 0,
            name: name.clone(),
            word: 0,
            live: true,
        };
        match self.routes.get_mut(index as usize) {
            Some(free) => *free = route,
            None => self.routes.push(route),
        }
        self.numbers.insert(name, index);
        Some(RouteId { index, generation })
    }

    /// Frees every number that `used` does not name. Handles on them are stale from now on.
    pub(crate) fn collect(&mut self, used: &std::collections::HashSet<u32>) {
        for (index, route) in self.routes.iter_mut().enumerate() {
            let index = index as u32;
            if route.live && !used.contains(&index) {
                route.live = false;
                route.generation = route.generation.wrapping_add(1);
                route.targets.clear();
                self.numbers.remove(&route.name);
                self.free.push(index);
            }
        }
    }

    /// The route of a handle; `None` when its number was given to another selector since.
    #[inline]
    pub(crate) fn get(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.index as usize).filter(|route| route.generation == id.generation)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: RouteId) -> Option<&mut Route> {
        self.routes.get_mut(id.index as usize).filter(|route| route.generation == id.generation)
    }

    /// The route behind a number read back from our own ring.
    pub(crate) fn by_index(&self, index: u32) -> Option<RouteId> {
        let route = self.routes.get(index as usize).filter(|route| route.live)?;
        Some(RouteId { index, generation: route.generation })
    }
}

/// A selector that matches nobody by label.
fn to_nobody() -> (Arc<Selector>, Arc<[u8]>) {
    let selector = Selector::unicast(LabelOp::constant(false));
    let encoded = selector.encode().into();
    (Arc::new(selector), encoded)
}

impl Route {
    /// Brings the targets up to the directory that `roster` shows. Channels already known are looked up by `channel`.
    #[inline]
    pub(crate) fn update(&mut self, roster: &Roster, channel: impl Fn(EndpointId) -> Option<usize>) {
        if self.word == roster.word {
            return;
        }
        let target = |id| Target { id, channel: channel(id) };
        self.targets = match self.name {
            Name::Selector(_) | Name::Request(_) => roster.matching(&self.selector.op).map(target).collect(),
            Name::Endpoint(id) => {
                roster.member(id).filter(|peer| peer.receiving).map(|_| target(id)).into_iter().collect()
            }
            Name::Replies(_) => Vec::new(),
        };
        self.word = roster.word;
    }

    /// Whom a unicast takes first, and the channel there, if both are known for the directory `word`.
    #[inline]
    pub(crate) fn first(&self, word: u64) -> Option<(usize, usize)> {
        if self.word != word || self.way != Way::One {
            return None;
        }
        let place = if self.next < self.targets.len() { self.next } else { 0 };
        Some((place, self.targets.get(place)?.channel?))
    }

    /// Forgets which channel leads to `id`: it is gone.
    pub(crate) fn forget(&mut self, id: EndpointId) {
        for target in self.targets.iter_mut().filter(|target| target.id == id) {
            target.channel = None;
        }
    }
}

impl RouteTable {
    /// Tells every route that the channel to `id` is gone.
    pub(crate) fn forget(&mut self, id: EndpointId) {
        self.routes.iter_mut().for_each(|route| route.forget(id));
    }
}
