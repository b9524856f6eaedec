//! `MemoryRegion`: a block of memory that processes share by sending it.
//!
//! The object is a hold on the memory and gives it up when it is closed or goes away; so does each buffer taken from
//! it, on its own. Who else holds it, in other processes too, is counted by the kernel.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ipmb_transport::FreezeError;
use ipmb_transport::export::{Exporter, Source};
use ipmb_transport::region::{Region, View};
use pyo3::exceptions::{PyBufferError, PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyMemoryView};

use crate::arguments::Argument;
use crate::errors::{self, os_error, wrong_type, wrong_value};
use crate::waiting::detached;

/// A region until it is closed, shared by the object and what exports its buffer.
struct Hold(Mutex<Option<Region>>);

impl Hold {
    fn get(&self) -> Option<Region> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn region(&self) -> PyResult<Region> {
        self.get().ok_or_else(|| PyValueError::new_err("region is closed: take a clone before it is, or a view"))
    }
}

struct Whole(Arc<Hold>);

impl Source for Whole {
    fn view(&self, py: Python<'_>) -> PyResult<View> {
        let region = self.0.region()?;
        view(py, &region, 0, region.size())
    }
}

/// A range of a region, which it keeps held.
pub(crate) struct Range {
    pub(crate) region: Region,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) writable: bool,
}

impl Source for Range {
    fn view(&self, py: Python<'_>) -> PyResult<View> {
        view(py, &self.region, self.offset, self.len)
    }

    fn writable(&self) -> bool {
        self.writable
    }
}

impl Range {
    /// A view of it as Python knows them.
    pub(crate) fn memoryview(self, py: Python<'_>) -> PyResult<Bound<'_, PyMemoryView>> {
        PyMemoryView::from(Bound::new(py, Exporter::new(self))?.as_any())
    }
}

pub(crate) fn view(py: Python<'_>, region: &Region, offset: usize, len: usize) -> PyResult<View> {
    region.map(offset, len).map_err(|error| unusable(py, region, &error))
}

fn unusable(py: Python<'_>, region: &Region, error: &io::Error) -> PyErr {
    if region.is_alive() { out_of("region", error) } else { of_the_parent(py) }
}

fn of_the_parent(py: Python<'_>) -> PyErr {
    errors::forked(py, "region belongs to the parent process: in a child only views made before the fork can be used")
}

/// Memory that could not be had is a MemoryError, all else an OSError.
pub(crate) fn out_of(argument: &str, error: &io::Error) -> PyErr {
    let text = format!("{argument}: {error}");
    match error.kind() {
        io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => PyMemoryError::new_err(text),
        _ => os_error(error, text),
    }
}

/// A size or an offset: an int in its bounds, which `bound` says in words.
pub(crate) fn bytes(
    argument: &str,
    value: &Bound<'_, PyAny>,
    least: usize,
    most: usize,
    bound: &str,
) -> PyResult<usize> {
    let Ok(number) = value.cast::<PyInt>() else { return Err(wrong_type(argument, value, "give an int, in bytes")) };
    if value.is_instance_of::<PyBool>() {
        return Err(wrong_type(argument, value, "give an int, in bytes"));
    }
    match number.extract::<usize>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(wrong_value(argument, number, bound)),
    }
}

/// The size of a new region. Whether there is so much memory, only making it tells.
pub(crate) fn new_size(argument: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    const MOST: usize = isize::MAX as usize;
    bytes(argument, value, 1, MOST, &format!("give 1 to {MOST} bytes"))
}

/// A block of memory that processes share by sending it.
///
/// It has the buffer protocol: `memoryview(region)`, `numpy.frombuffer(region, dtype)`. Its memory starts at a multiple
/// of 64 (of a page, in fact), is zeroed, and can neither shrink nor grow. Every holder may write to it until it is
/// frozen. Send it with `Sender.send(..., memory_regions=[region])`; nothing is copied, and each receiver holds it from
/// then on.
///
/// Closing gives up this hold. Views and arrays that were taken before stay valid, and keep the memory held. When the
/// last holder on the machine has let go, or was killed, the memory is freed (or back in its `MemoryRegistry`). In a
/// forked child views made before the fork work; the region itself is dead there.
///
/// Args:
///     size: Bytes, 1 or more. All of the memory is there from the start.
///
/// Attributes:
///     size: Bytes, as given; a received one's as it was made.
///     ref_count: How many endpoints hold it, on the whole machine: a message under way counts as its receiver, what
///         this process made counts as one, and clones and views of one endpoint count once.
///     frozen: Whether it is read-only for everybody, for ever.
///     closed: Whether this object has given up its hold.
///
/// Raises:
///     TypeError, ValueError: `size` is no int, or less than 1.
///     MemoryError: There is not so much memory.
///
/// Example:
///     >>> import ipmb
///     >>> region = ipmb.MemoryRegion(4096)
///     >>> with memoryview(region) as view:
///     ...     view[:5] = b"hello"
///     >>> with ipmb.join("com.example.region", "earth") as (sender, receiver):
///     ...     _ = sender.send("earth", "look", memory_regions=[region])
///     ...     with receiver.recv(timeout=5) as message:
///     ...         bytes(message.memory_regions[0].map(0, 5)), region.ref_count
///     (b'hello', 2)
#[pyclass(extends = Exporter, frozen, weakref, module = "ipmb")]
pub(crate) struct MemoryRegion {
    hold: Arc<Hold>,
}

impl MemoryRegion {
    fn initializer(region: Region) -> PyClassInitializer<MemoryRegion> {
        let hold = Arc::new(Hold(Mutex::new(Some(region))));
        PyClassInitializer::from(Exporter::new(Whole(hold.clone()))).add_subclass(MemoryRegion { hold })
    }

    pub(crate) fn of(py: Python<'_>, region: Region) -> PyResult<Py<MemoryRegion>> {
        Py::new(py, Self::initializer(region))
    }

    /// The region, while it is not closed.
    pub(crate) fn get(&self) -> Option<Region> {
        self.hold.get()
    }
}

#[pymethods]
impl MemoryRegion {
    #[new]
    fn new(size: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        let len = new_size("size", size)?;
        let made = detached(size.py(), || Region::create("ipmb-region", len));
        made.map(Self::initializer).map_err(|error| out_of("size", &error))
    }

    #[getter]
    fn size(&self) -> PyResult<usize> {
        Ok(self.hold.region()?.size())
    }

    #[getter]
    fn ref_count(&self, py: Python<'_>) -> PyResult<usize> {
        let region = self.hold.region()?;
        // Somebody may have set more locks than it takes to hold it, each of which takes its time.
        detached(py, || region.ref_count()).map_err(|error| unusable(py, &region, &error))
    }

    #[getter]
    fn frozen(&self, py: Python<'_>) -> PyResult<bool> {
        let region = self.hold.region()?;
        if region.is_alive() { Ok(region.is_frozen()) } else { Err(of_the_parent(py)) }
    }

    #[getter]
    fn closed(&self) -> bool {
        self.hold.get().is_none()
    }

    fn __len__(&self) -> PyResult<usize> {
        self.size()
    }

    /// A view of a part of it, or of all of it.
    ///
    /// Args:
    ///     offset: First byte, 0 to `size`.
    ///     size: How many bytes, 0 to what is left from there; None: to the end.
    ///
    /// Returns:
    ///     A memoryview of bytes, writable until the region is frozen. It stays valid when the region is closed, and
    ///     keeps the memory held until it is released.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument is no int, or out of its bounds; or the region is closed.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.MemoryRegion(100) as region:
    ///     ...     part = region.map(64, 4)
    ///     >>> part[:] = b"abcd"
    ///     >>> bytes(part)
    ///     b'abcd'
    #[pyo3(signature = (offset = Argument::Missing, size = None), text_signature = "($self, offset=0, size=None)")]
    fn map<'py>(
        &self,
        py: Python<'py>,
        offset: Argument<'py>,
        size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        let region = self.hold.region()?;
        let all = region.size();
        let offset =
            offset.given().map_or(Ok(0), |value| bytes("offset", value, 0, all, &format!("give 0 to {all}")))?;
        let left = all - offset;
        let bound = || format!("give 0 to {left}, what is left from offset {offset}");
        let len = size.map_or(Ok(left), |value| bytes("size", value, 0, left, &bound()))?;
        Range { region, offset, len, writable: true }.memoryview(py)
    }

    /// Another hold on the same memory, closed on its own.
    ///
    /// Raises:
    ///     ValueError: The region is closed.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> region = ipmb.MemoryRegion(16)
    ///     >>> other = region.clone()
    ///     >>> region.close()
    ///     >>> other.size, other.ref_count
    ///     (16, 1)
    fn clone(&self, py: Python<'_>) -> PyResult<Py<MemoryRegion>> {
        MemoryRegion::of(py, self.hold.region()?)
    }

    /// Makes it read-only for everybody, for ever; this process included.
    ///
    /// It is for the sole holder: release all views, and freeze before you send it. Views taken from now on are
    /// read-only. Freezing twice is fine.
    ///
    /// Raises:
    ///     BufferError: A writable view of it is alive, or somebody else holds it.
    ///     ValueError: The region is closed.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> region = ipmb.MemoryRegion(16)
    ///     >>> region.freeze()
    ///     >>> memoryview(region).readonly
    ///     True
    fn freeze(&self, py: Python<'_>) -> PyResult<()> {
        let region = self.hold.region()?;
        region.freeze().map_err(|error| match error {
            FreezeError::Io(cause) => unusable(py, &region, &cause),
            FreezeError::Viewed => PyBufferError::new_err(
                "the region has a writable view or array: release it first (a memoryview with release(), an array \
                 with del)",
            ),
            FreezeError::Held(_) | FreezeError::Busy => PyBufferError::new_err(format!(
                "{error}: freeze it before you send or map it elsewhere, or when all others have let go"
            )),
        })
    }

    /// Gives up this hold. Views and arrays taken before stay valid. Closing twice is fine.
    fn close(&self) {
        let region = self.hold.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(region);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close();
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a MemoryRegion cannot be pickled or copied: send it with a message, as \
             sender.send(to, payload, memory_regions=[it]), or clone() it",
        ))
    }

    fn __repr__(&self) -> String {
        match self.hold.get() {
            Some(region) if region.is_frozen() => format!("<MemoryRegion of {} bytes, frozen>", region.size()),
            Some(region) => format!("<MemoryRegion of {} bytes>", region.size()),
            None => "<MemoryRegion closed>".to_owned(),
        }
    }
}
