//! `Label` and `LabelOp`: thin faces of the core's own.

use std::sync::Arc;

use ipmb_bus::label::Label as CoreLabel;
use ipmb_bus::label_op::LabelOp as CoreOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyIterator, PySet, PyString, PyTuple};

use crate::arguments;
use crate::errors::{invalid, wrong_type};

/// The set of strings that describes an endpoint. Immutable; order and repetition do not matter.
///
/// It behaves like a frozenset of strings: `in`, iteration (in sorted order), `len`, `|`, equality and hash, also
/// with sets and frozensets.
///
/// Args:
///     *elements: Strings of 1 to 255 bytes each in UTF-8; at most 64, at most 4096 bytes together.
///
/// Raises:
///     TypeError: An element is no string.
///     ValueError: An element is empty or too long, or there are too many.
///
/// Example:
///     >>> import ipmb
///     >>> ipmb.Label("renderer", "codec") | {"gpu"}
///     label('codec', 'gpu', 'renderer')
///     >>> "codec" in ipmb.Label("renderer", "codec")
///     True
#[pyclass(frozen, module = "ipmb")]
pub(crate) struct Label {
    pub(crate) core: CoreLabel,
}

impl Label {
    fn elements<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.core.iter().map(|element| &**element))
    }

    /// The same elements as the other operand; `None` when it is no set.
    fn other(value: &Bound<'_, PyAny>) -> PyResult<Option<CoreLabel>> {
        if let Ok(label) = value.cast::<Label>() {
            return Ok(Some(label.get().core.clone()));
        }
        if value.is_instance_of::<PyFrozenSet>() || value.is_instance_of::<PySet>() {
            return arguments::label(value).map(Some);
        }
        Ok(None)
    }
}

#[pymethods]
impl Label {
    #[new]
    #[pyo3(signature = (*elements))]
    fn new(elements: &Bound<'_, PyTuple>) -> PyResult<Self> {
        Ok(Self { core: arguments::label_of(elements.iter().map(Ok))? })
    }

    fn __contains__(&self, element: &Bound<'_, PyAny>) -> bool {
        element.cast::<PyString>().is_ok_and(|text| text.to_str().is_ok_and(|text| self.core.contains(text)))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.elements(py)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        if let Ok(label) = other.cast::<Label>() {
            return Ok((self.core == label.get().core).into_pyobject(py)?.to_owned().into_any().unbind());
        }
        if other.is_instance_of::<PyFrozenSet>() || other.is_instance_of::<PySet>() {
            // The other one may hold anything, so it is asked and not converted.
            return Ok(other
                .eq(PyFrozenSet::new(py, self.elements(py)?)?)?
                .into_pyobject(py)?
                .to_owned()
                .into_any()
                .unbind());
        }
        Ok(py.NotImplemented())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyFrozenSet::new(py, self.elements(py)?)?.hash()
    }

    fn __or__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match Self::other(other)? {
            Some(other) => {
                let core = self.core.union(&other).map_err(|error| invalid(&error))?;
                Ok(Py::new(py, Label { core })?.into_any())
            }
            None => Ok(py.NotImplemented()),
        }
    }

    fn __ror__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__or__(py, other)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let elements: PyResult<Vec<String>> =
            self.elements(py)?.iter().map(|element| Ok(element.repr()?.to_str()?.to_owned())).collect();
        Ok(format!("label({})", elements?.join(", ")))
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.elements(py)
    }
}

/// A boolean expression over labels: who a message is for.
///
/// Combine with `&`, `|` and `~`; a plain string beside an expression is an element. `str()` gives the text form,
/// `LabelOp.parse` reads it. Immutable and hashable. `and`, `or` and `not` do not work on it (TypeError): Python would
/// silently drop one side.
///
/// Args:
///     element: Matches the endpoints whose label holds it; 1 to 255 bytes in UTF-8.
///
/// Raises:
///     TypeError: `element` is no string.
///     ValueError: `element` is empty or too long.
///
/// Example:
///     >>> from ipmb import LabelOp, label
///     >>> op = LabelOp("renderer") & ~LabelOp("gpu")
///     >>> str(op), op.matches(label("renderer", "codec"))
///     ('renderer & !gpu', True)
#[pyclass(frozen, module = "ipmb")]
pub(crate) struct LabelOp {
    pub(crate) core: CoreOp,
}

impl LabelOp {
    fn combine(
        py: Python<'_>,
        other: &Bound<'_, PyAny>,
        with: impl FnOnce(&CoreOp) -> Result<CoreOp, ipmb_bus::error::InvalidArgument>,
    ) -> PyResult<Py<PyAny>> {
        match arguments::operand(other)? {
            Some(other) => {
                let core = with(&other).map_err(|error| invalid(&error))?;
                Ok(Py::new(py, LabelOp { core })?.into_any())
            }
            None => Ok(py.NotImplemented()),
        }
    }
}

#[pymethods]
impl LabelOp {
    #[new]
    fn new(element: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(string) = element.cast::<PyString>() else {
            return Err(wrong_type("element", element, "give a str"));
        };
        let element: Arc<str> = arguments::text("element", string)?.into();
        Ok(Self { core: CoreOp::leaf(element).map_err(|error| invalid(&error))? })
    }

    /// Matches every endpoint.
    #[classattr]
    #[pyo3(name = "TRUE")]
    fn always() -> Self {
        Self { core: CoreOp::constant(true) }
    }

    /// Matches no endpoint.
    #[classattr]
    #[pyo3(name = "FALSE")]
    fn never() -> Self {
        Self { core: CoreOp::constant(false) }
    }

    /// Reads the text form: elements, `true`, `false`, `!` before `&` before `|`, parentheses.
    ///
    /// Args:
    ///     text: Elements that look like identifiers stand bare, all others in double quotes with backslash escapes.
    ///
    /// Raises:
    ///     ValueError: The text is no expression, or one that nests too deep; the message says where.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> ipmb.LabelOp.parse('a & (b | !"c d")')
    ///     LabelOp.parse('a & (b | !"c d")')
    #[staticmethod]
    fn parse(text: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(string) = text.cast::<PyString>() else {
            return Err(wrong_type("text", text, "give a str"));
        };
        let core = CoreOp::parse(arguments::text("text", string)?).map_err(|error| invalid(&error))?;
        Ok(Self { core })
    }

    /// Whether an endpoint with this label is meant.
    ///
    /// Args:
    ///     label: A `Label`, a string, or an iterable of strings.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> ipmb.LabelOp.parse("a & !b").matches("a")
    ///     True
    fn matches(&self, label: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.core.matches(&arguments::label(label)?))
    }

    fn __and__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::combine(py, other, |other| self.core.and(other))
    }

    fn __rand__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::combine(py, other, |other| other.and(&self.core))
    }

    fn __or__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::combine(py, other, |other| self.core.or(other))
    }

    fn __ror__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::combine(py, other, |other| other.or(&self.core))
    }

    fn __invert__(&self) -> PyResult<Self> {
        Ok(Self { core: self.core.not().map_err(|error| invalid(&error))? })
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err("a LabelOp is neither true nor false: combine with & | ~, ask with .matches(label)"))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other.cast::<LabelOp>() {
            Ok(other) => Ok((self.core == other.get().core).into_pyobject(py)?.to_owned().into_any().unbind()),
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, &self.core.to_string()).hash()
    }

    fn __str__(&self) -> String {
        self.core.to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("LabelOp.parse({})", PyString::new(py, &self.core.to_string()).repr()?.to_str()?))
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String,))> {
        Ok((py.get_type::<LabelOp>().getattr("parse")?.unbind(), (self.core.to_string(),)))
    }
}
