//! Arguments that several functions take: checked in one place, so that they are told off in the same words.

use ipmb_bus::label::Label as CoreLabel;
use ipmb_bus::label_op::LabelOp as CoreOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use crate::errors::{a_type, invalid, wrong_type, wrong_value};
use crate::label::{Label, LabelOp};

const SECONDS: &str = "give 0 or more seconds, or None for ever";

/// An argument whose default is not `None`, so that `None` can be told from nothing.
pub(crate) enum Argument<'py> {
    Missing,
    Given(Bound<'py, PyAny>),
}

impl<'py> Argument<'py> {
    pub(crate) fn given(&self) -> Option<&Bound<'py, PyAny>> {
        match self {
            Argument::Missing => None,
            Argument::Given(value) => Some(value),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Argument<'py> {
    type Error = std::convert::Infallible;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Argument::Given(value.to_owned()))
    }
}

/// How long a call may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Until it is done.
    Never,
    /// Not at all.
    Now,
    /// So many nanoseconds.
    After(u64),
    /// Up to a point of the core's clock.
    Until(u64),
}

impl Timeout {
    pub(crate) fn parse(value: &Bound<'_, PyAny>) -> PyResult<Timeout> {
        if value.is_none() {
            return Ok(Timeout::Never);
        }
        let seconds = seconds("timeout", value)?;
        // The conversion saturates; what is past 584 years is for ever.
        Ok(match (seconds * 1e9) as u64 {
            0 if seconds == 0.0 => Timeout::Now,
            u64::MAX => Timeout::Never,
            nanos => Timeout::After(nanos),
        })
    }

    /// When the wait ends, on the clock of the core.
    pub(crate) fn deadline(self) -> Option<u64> {
        match self {
            Timeout::Never => None,
            Timeout::Now => Some(0),
            Timeout::After(nanos) => ipmb_transport::sys::now().checked_add(nanos),
            Timeout::Until(at) => Some(at),
        }
    }

    /// The same, counted from now on, for a call that waits several times.
    pub(crate) fn started(self) -> Timeout {
        match self {
            Timeout::After(_) => self.deadline().map_or(Timeout::Never, Timeout::Until),
            other => other,
        }
    }
}

/// A time that is not negative, in seconds; infinity is allowed.
pub(crate) fn seconds(argument: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let seconds = match value.cast_exact::<PyFloat>() {
        Ok(float) => float.value(),
        Err(_) => value.extract::<f64>().map_err(|error| {
            if error.is_instance_of::<PyTypeError>(value.py()) {
                wrong_type(argument, value, SECONDS)
            } else {
                wrong_value(argument, "an int too large for a float", SECONDS)
            }
        })?,
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(wrong_value(argument, seconds, SECONDS));
    }
    Ok(seconds)
}

/// The UTF-8 of a string. Python allows half surrogates in a string, the bus does not.
pub(crate) fn text<'a>(argument: &str, value: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    value.to_str().map_err(|_| wrong_value(argument, "a str with half a surrogate pair", "give valid Unicode"))
}

fn element(value: &Bound<'_, PyAny>) -> PyResult<std::sync::Arc<str>> {
    match value.cast::<PyString>() {
        Ok(string) => Ok(text("label element", string)?.into()),
        Err(_) => Err(wrong_type("label element", value, "give strings")),
    }
}

/// Elements given one by one.
pub(crate) fn label_of<'py>(elements: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>) -> PyResult<CoreLabel> {
    let mut kept = Vec::new();
    for value in elements {
        kept.push(element(&value?)?);
        // An endless iterator is judged before it fills the memory.
        if kept.len() > 2 * ipmb_bus::limits::LABEL_ELEMENTS {
            kept = CoreLabel::new(kept).map_err(|error| invalid(&error))?.iter().cloned().collect();
        }
    }
    CoreLabel::new(kept).map_err(|error| invalid(&error))
}

/// A label given as a `Label`, one string, or an iterable of strings.
pub(crate) fn label(value: &Bound<'_, PyAny>) -> PyResult<CoreLabel> {
    if let Ok(label) = value.cast::<Label>() {
        return Ok(label.get().core.clone());
    }
    if value.is_instance_of::<PyString>() {
        return label_of(std::iter::once(Ok(value.clone())));
    }
    match value.try_iter() {
        Ok(elements) => label_of(elements),
        Err(_) => Err(wrong_type("label", value, "give a Label, a str, or an iterable of strings")),
    }
}

/// An expression given as a `LabelOp`, or a string that is one element. `None`: neither.
pub(crate) fn operand(value: &Bound<'_, PyAny>) -> PyResult<Option<CoreOp>> {
    if let Ok(op) = value.cast::<LabelOp>() {
        return Ok(Some(op.get().core.clone()));
    }
    match value.cast::<PyString>() {
        Ok(string) => Ok(Some(CoreOp::leaf(text("label element", string)?).map_err(|error| invalid(&error))?)),
        Err(_) => Ok(None),
    }
}

/// The same where nothing else will do.
pub(crate) fn label_op(argument: &str, value: &Bound<'_, PyAny>) -> PyResult<CoreOp> {
    operand(value)?
        .ok_or_else(|| PyTypeError::new_err(format!("{argument} is {}: give a LabelOp or a str", a_type(value))))
}
