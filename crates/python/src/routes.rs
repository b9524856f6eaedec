//! From what a program names as the target to the number of a route, by pointer where it named the same object before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipmb_binding::to::To;
use ipmb_bus::selector::Selector as CoreSelector;
use ipmb_bus::{RouteId, limits};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::from_send;
use crate::selector::parse_selector;
use crate::sender::Sender;

/// Objects whose route is found by comparing pointers. Programs mostly send to a few constant selectors.
const RECENT: usize = 4;

/// The routes that a sender has found.
#[derive(Default)]
pub(crate) struct Routes {
    /// Read without a lock.
    recent: [Recent; RECENT],
    known: Mutex<Known>,
}

/// An object and its route. While the object is not 0 the route is its own, and [`Known`] holds the object, so that no
/// other can come to have the same address.
#[derive(Default)]
struct Recent {
    object: AtomicUsize,
    route: AtomicU64,
}

#[derive(Default)]
struct Known {
    held: [Option<Py<PyAny>>; RECENT],
    oldest: usize,
    texts: HashMap<Box<str>, RouteId>,
}

impl Routes {
    /// The route of an object that was a target lately.
    #[inline(always)]
    pub(crate) fn recent(&self, target: &Bound<'_, PyAny>) -> Option<RouteId> {
        let object = target.as_ptr() as usize;
        for recent in &self.recent {
            if recent.object.load(Ordering::Acquire) == object {
                let route = recent.route.load(Ordering::Acquire);
                // Another thread may have put another one here meanwhile; it takes the object away first.
                if recent.object.load(Ordering::Acquire) == object {
                    return Some(RouteId::from_bits(route));
                }
            }
        }
        None
    }

    /// The route to a target: a `Selector`, or a `LabelOp` or string that alone mean unicast.
    #[inline]
    fn find(&self, core: &ipmb_bus::Sender, target: &Bound<'_, PyAny>) -> PyResult<RouteId> {
        self.recent(target).map_or_else(|| self.look_up(core, target), Ok)
    }

    #[cold]
    fn look_up(&self, core: &ipmb_bus::Sender, target: &Bound<'_, PyAny>) -> PyResult<RouteId> {
        let text = target.cast_exact::<PyString>().ok().map(|string| string.to_str()).transpose().ok().flatten();
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = text.and_then(|text| lock().texts.get(text).copied());
        let route = match found {
            Some(route) => route,
            None => intern(core, target.py(), &parse_selector(target)?)?,
        };
        let mut known = lock();
        if let (Some(text), None) = (text, found) {
            if known.texts.len() >= limits::ROUTES {
                known.texts.clear();
            }
            known.texts.insert(text.into(), route);
        }
        let oldest = known.oldest;
        known.oldest = (oldest + 1) % RECENT;
        self.recent[oldest].object.store(0, Ordering::Release);
        self.recent[oldest].route.store(route.to_bits(), Ordering::Release);
        let evicted = known.held[oldest].replace(target.clone().unbind());
        self.recent[oldest].object.store(target.as_ptr() as usize, Ordering::Release);
        // What drops with it may be the last reference, and its end runs code.
        drop(known);
        drop(evicted);
        Ok(route)
    }

    /// The table of routes was collected: nothing known of it holds any more.
    #[cold]
    fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.recent.iter().for_each(|recent| recent.object.store(0, Ordering::Release));
        let forgotten = std::mem::take(&mut *known);
        drop(known);
        drop(forgotten);
    }
}

fn intern(core: &ipmb_bus::Sender, py: Python<'_>, selector: &Arc<CoreSelector>) -> PyResult<RouteId> {
    core.intern(selector).map_err(|error| from_send(py, &error))
}

/// Where a message goes, as it was given.
pub(crate) enum Target<'a, 'py> {
    /// A `Selector`, or a `LabelOp` or string that alone mean unicast.
    Named(&'a Bound<'py, PyAny>),
    /// One that was made for this message.
    Made(Python<'py>, To),
}

impl Target<'_, '_> {
    #[inline(always)]
    pub(crate) fn route(&self, sender: &Sender) -> PyResult<RouteId> {
        match self {
            Target::Named(target) => sender.routes.find(&sender.core, target),
            Target::Made(py, to) => to.route(&sender.core).map_err(|error| from_send(*py, &error)),
        }
    }

    /// The route, when the table of routes was collected and nothing known of it holds any more.
    #[cold]
    pub(crate) fn find_again(&self, sender: &Sender) -> PyResult<RouteId> {
        sender.routes.forget();
        self.route(sender)
    }

    /// The same for a message that is kept.
    #[cold]
    pub(crate) fn to(&self) -> PyResult<To> {
        match self {
            Target::Named(target) => Ok(To::Selector(parse_selector(target)?)),
            Target::Made(_, to) => Ok(to.clone()),
        }
    }
}
