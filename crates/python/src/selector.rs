//! `Selector`: where a message goes.

use std::sync::Arc;

use ipmb_bus::selector::{Mode, Selector as CoreSelector, Ttl};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::arguments::{self, Argument};
use crate::errors::wrong_type;
use crate::imported::Imported;
use crate::label::LabelOp;

/// Where a message goes: who is meant, one of them or all, and how long it waits while nobody matches.
///
/// Made by `Selector.unicast` and `Selector.multicast`. Immutable and hashable. Keep one and use it again: a sender
/// finds the route of a selector it has seen in a few nanoseconds.
///
/// Attributes:
///     label_op: Who is meant, a `LabelOp`.
///     mode: `SelectorMode.UNICAST` or `SelectorMode.MULTICAST`.
///     ttl: Seconds that a message waits while nobody matches; `None` is for ever.
///
/// Example:
///     >>> import ipmb
///     >>> selector = ipmb.Selector.multicast(ipmb.LabelOp("viewer") & "gpu", ttl=2)
///     >>> str(selector.label_op), selector.mode.name, selector.ttl
///     ('viewer & gpu', 'MULTICAST', 2.0)
#[pyclass(frozen, module = "ipmb")]
pub(crate) struct Selector {
    pub(crate) core: Arc<CoreSelector>,
}

impl Selector {
    fn make(op: &Bound<'_, PyAny>, mode: Mode, ttl: &Argument<'_>) -> PyResult<Self> {
        let op = arguments::label_op("op", op)?;
        let ttl = ttl.given().map_or(Ok(Ttl::ZERO), parse_ttl)?;
        Ok(Self { core: Arc::new(CoreSelector { op, mode, ttl }) })
    }
}

/// A ttl: 0 or more seconds; `None` and infinity are for ever.
pub(crate) fn parse_ttl(value: &Bound<'_, PyAny>) -> PyResult<Ttl> {
    if value.is_none() {
        return Ok(Ttl::FOREVER);
    }
    let seconds = arguments::seconds("ttl", value)?;
    Ttl::from_secs_f64(seconds).map_err(|error| crate::errors::invalid(&error))
}

/// Where a message goes, given as a `Selector`, or as a `LabelOp` or string that alone mean unicast.
pub(crate) fn parse_selector(value: &Bound<'_, PyAny>) -> PyResult<Arc<CoreSelector>> {
    if let Ok(selector) = value.cast::<Selector>() {
        return Ok(selector.get().core.clone());
    }
    match arguments::operand(value)? {
        Some(op) => Ok(Arc::new(CoreSelector::unicast(op))),
        None => Err(wrong_type("selector", value, "give a Selector, a LabelOp or a str")),
    }
}

#[pymethods]
impl Selector {
    /// To exactly one of those who match.
    ///
    /// Args:
    ///     op: A `LabelOp`, or a string that stands for the endpoints with that element.
    ///     ttl: Seconds that a message waits while nobody matches, 0 or more; `None` and infinity are for ever.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument of another type, or a negative ttl.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> ipmb.Selector.unicast("earth", ttl=1.5)
    ///     Selector.unicast('earth', ttl=1.5)
    #[staticmethod]
    #[pyo3(signature = (op, ttl = Argument::Missing), text_signature = "(op, ttl=0)")]
    fn unicast(op: &Bound<'_, PyAny>, ttl: Argument<'_>) -> PyResult<Self> {
        Self::make(op, Mode::Unicast, &ttl)
    }

    /// To everyone who matches, the sender itself included. What waited goes once, to those who match then.
    ///
    /// Args:
    ///     op: A `LabelOp`, or a string that stands for the endpoints with that element.
    ///     ttl: Seconds that a message waits while nobody matches, 0 or more; `None` and infinity are for ever.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument of another type, or a negative ttl.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> ipmb.Selector.multicast(ipmb.LabelOp.TRUE)
    ///     Selector.multicast(LabelOp.parse('true'))
    #[staticmethod]
    #[pyo3(signature = (op, ttl = Argument::Missing), text_signature = "(op, ttl=0)")]
    fn multicast(op: &Bound<'_, PyAny>, ttl: Argument<'_>) -> PyResult<Self> {
        Self::make(op, Mode::Multicast, &ttl)
    }

    #[getter]
    fn label_op(&self) -> LabelOp {
        LabelOp { core: self.core.op.clone() }
    }

    #[getter]
    fn mode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static MODES: Imported = Imported::new("ipmb.values", "SelectorMode");
        MODES.get(py)?.getattr(match self.core.mode {
            Mode::Unicast => "UNICAST",
            Mode::Multicast => "MULTICAST",
        })
    }

    #[getter]
    fn ttl(&self) -> Option<f64> {
        (!self.core.ttl.is_forever()).then(|| self.core.ttl.as_secs_f64())
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other.cast::<Selector>() {
            Ok(other) => Ok((self.core == other.get().core).into_pyobject(py)?.to_owned().into_any().unbind()),
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (self.core.op.to_string(), self.core.mode as u8, self.core.ttl.nanos()).into_pyobject(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let op = match self.core.op.as_leaf() {
            Some(element) => PyString::new(py, element).repr()?.to_str()?.to_owned(),
            None => format!("LabelOp.parse({})", PyString::new(py, &self.core.op.to_string()).repr()?.to_str()?),
        };
        let ttl = match self.core.ttl {
            Ttl::ZERO => String::new(),
            Ttl::FOREVER => ", ttl=None".to_owned(),
            ttl => format!(", ttl={}", ttl.as_secs_f64()),
        };
        Ok(format!("Selector.{}({op}{ttl})", self.maker()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Selector>().getattr(self.maker())?, (self.label_op(), self.ttl()).into_pyobject(py)?))
    }
}

impl Selector {
    fn maker(&self) -> &'static str {
        match self.core.mode {
            Mode::Unicast => "unicast",
            Mode::Multicast => "multicast",
        }
    }
}
