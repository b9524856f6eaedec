//! What travels beside a payload: from arguments to descriptors, and from descriptors to what `recv` hands out.
//!
//! Everything a program attaches is checked and duplicated before anything is sent, so that a wrong item sends nothing,
//! and so that it may close its own as soon as `send` has returned. Most messages have no attachments and must not pay for
//! them: no argument, no work.

use std::sync::{Mutex, PoisonError};

use ipmb_bus::limits;
use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::{self, a_type, wrong_type};
use crate::object::{Object, duplicate};
use crate::region::MemoryRegion;

const OBJECTS: &str = "objects";
const REGIONS: &str = "memory_regions";

/// What is sent with a payload.
pub(crate) struct Attachments {
    pub(crate) objects: Vec<Fd>,
    pub(crate) regions: Vec<Region>,
}

impl Attachments {
    /// What came with a message; `None` when it was a large payload only.
    pub(crate) fn arrived(objects: Vec<Fd>, regions: Vec<Region>) -> Option<Box<Attachments>> {
        if objects.is_empty() && regions.is_empty() { None } else { Some(Box::new(Attachments { objects, regions })) }
    }

    /// What the arguments of `send` say.
    #[inline]
    pub(crate) fn parse(
        objects: Option<&Bound<'_, PyAny>>,
        memory_regions: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Box<Attachments>>> {
        match (objects, memory_regions) {
            (None, None) => Ok(None),
            _ => Self::parse_given(objects, memory_regions).map(Some),
        }
    }

    #[cold]
    fn parse_given(
        objects: Option<&Bound<'_, PyAny>>,
        memory_regions: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Box<Attachments>> {
        let objects = items(OBJECTS, objects, limits::OBJECTS_PER_MESSAGE)?;
        let mut fds = Vec::with_capacity(objects.len());
        for (index, item) in objects.iter().enumerate() {
            fds.push(duplicate(&format_args!("{OBJECTS}[{index}]"), item)?);
        }
        let mut regions = Vec::new();
        for (index, item) in items(REGIONS, memory_regions, limits::REGIONS_PER_MESSAGE)?.iter().enumerate() {
            regions.push(region(index, item)?);
        }
        Ok(Box::new(Attachments { objects: fds, regions }))
    }
}

/// What a message holds beside its payload, until it is closed.
pub(crate) struct Held(Mutex<Option<Kept>>);

struct Kept {
    objects: Py<PyTuple>,
    memory_regions: Py<PyTuple>,
}

impl Held {
    /// What came with a message. Objects that nobody takes are closed with it: nobody else refers to them.
    #[cold]
    pub(crate) fn received(py: Python<'_>, arrived: Attachments) -> PyResult<Box<Held>> {
        let objects: PyResult<Vec<_>> = arrived.objects.into_iter().map(|fd| Py::new(py, Object::new(fd))).collect();
        let regions: PyResult<Vec<_>> =
            arrived.regions.into_iter().map(|region| MemoryRegion::of(py, region)).collect();
        Self::new(PyTuple::new(py, objects?)?, PyTuple::new(py, regions?)?)
    }

    /// What a program attaches to a message that it makes. Objects stay as they are, of everything else one is made.
    pub(crate) fn made(
        py: Python<'_>,
        objects: Option<&Bound<'_, PyAny>>,
        memory_regions: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Box<Held>>> {
        let mut kept_objects = Vec::new();
        for (index, item) in items(OBJECTS, objects, limits::OBJECTS_PER_MESSAGE)?.into_iter().enumerate() {
            let place = format_args!("{OBJECTS}[{index}]");
            kept_objects.push(match item.cast_into_exact::<Object>() {
                Ok(object) => {
                    object.get().check(py, &place)?;
                    object.unbind()
                }
                Err(other) => Py::new(py, Object::new(duplicate(&place, &other.into_inner())?))?,
            });
        }
        let kept_regions = items(REGIONS, memory_regions, limits::REGIONS_PER_MESSAGE)?;
        for (index, item) in kept_regions.iter().enumerate() {
            region(index, item)?;
        }
        if kept_objects.is_empty() && kept_regions.is_empty() {
            return Ok(None);
        }
        Self::new(PyTuple::new(py, kept_objects)?, PyTuple::new(py, kept_regions)?).map(Some)
    }

    fn new(objects: Bound<'_, PyTuple>, memory_regions: Bound<'_, PyTuple>) -> PyResult<Box<Held>> {
        let kept = Kept { objects: objects.unbind(), memory_regions: memory_regions.unbind() };
        Ok(Box::new(Held(Mutex::new(Some(kept)))))
    }

    fn look<T>(&self, look: impl FnOnce(&Kept) -> T) -> PyResult<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()
            .map(look)
            .ok_or_else(|| PyValueError::new_err("message is closed: take its attachments before you close it"))
    }

    pub(crate) fn objects(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        self.look(|kept| kept.objects.clone_ref(py))
    }

    pub(crate) fn memory_regions(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        self.look(|kept| kept.memory_regions.clone_ref(py))
    }

    /// For sending the message (on).
    #[cold]
    pub(crate) fn attachments(&self, py: Python<'_>) -> PyResult<Box<Attachments>> {
        let (objects, regions) = (self.objects(py)?, self.memory_regions(py)?);
        Attachments::parse_given(Some(objects.bind(py)), Some(regions.bind(py)))
    }

    /// Lets go. What a program has taken out stays open.
    pub(crate) fn close(&self) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // After the lock: the end of an object may run code.
        drop(kept);
    }
}

/// The region behind one item.
fn region(index: usize, item: &Bound<'_, PyAny>) -> PyResult<Region> {
    let place = format!("{REGIONS}[{index}]");
    let Ok(given) = item.cast_exact::<MemoryRegion>() else {
        return Err(wrong_type(&place, item, "give MemoryRegions"));
    };
    match given.get().get() {
        Some(region) if region.is_alive() => Ok(region),
        Some(_) => Err(errors::forked(item.py(), format!("{place} belongs to the parent process: make one anew"))),
        None => Err(PyValueError::new_err(format!("{place} is a closed MemoryRegion: its memory is let go"))),
    }
}

/// The items of an argument, no more than `most`; an endless iterator ends there.
fn items<'py>(argument: &str, given: Option<&Bound<'py, PyAny>>, most: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let wrong = || PyTypeError::new_err(format!("{argument} is {}: give a list of them", a_type(given)));
    // A file can be iterated over, but its lines are not what is meant.
    if given.getattr_opt(intern!(given.py(), "fileno"))?.is_some() {
        return Err(wrong());
    }
    let mut found = Vec::new();
    for item in given.try_iter().map_err(|_| wrong())? {
        if found.len() == most {
            return Err(PyValueError::new_err(format!("{argument} holds more than {most}: give at most {most}")));
        }
        found.push(item?);
    }
    Ok(found)
}
