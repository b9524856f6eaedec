//! The native module `ipmb._core`: what is on the path of a message, and thin faces of the core's own values.
//!
//! From the bottom up: `errors`, exceptions; `arguments`, checks that several functions share; `label` and `selector`,
//! where a message goes; `peer`, who sent it; `msgpack` and `payload`, what it carries; `message`; `waiting`, with the
//! interpreter lock released; `sender`, `receiver`, `endpoint`.
//!
//! The interpreter lock is held while a ring is read or written and released in every wait. The core never calls back.
#![forbid(unsafe_code)]

mod arguments;
mod attachments;
mod endpoint;
mod errors;
mod label;
mod message;
mod msgpack;
mod object;
mod payload;
mod peer;
mod receiver;
mod selector;
mod sender;
mod waiting;

use pyo3::prelude::*;

/// The native half of the package. Import from `ipmb`, not from here.
// Builds without the interpreter lock are not tested yet: there Python takes the lock back for us.
#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};

    use crate::{errors, payload};

    #[pymodule_export]
    use crate::endpoint::{Endpoint, close_all, join};
    #[pymodule_export]
    use crate::label::{Label, LabelOp};
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::object::Object;
    #[pymodule_export]
    use crate::peer::EndpointInfo;
    #[pymodule_export]
    use crate::receiver::Receiver;
    #[pymodule_export]
    use crate::selector::Selector;
    #[pymodule_export]
    use crate::sender::Sender;

    /// The UUID and the bytes that a payload travels as.
    #[pyfunction]
    fn encode<'py>(payload: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let encoded = payload::encode(payload)?;
        let py = payload.py();
        Ok((PyBytes::new(py, &encoded.type_id.to_be_bytes()), PyBytes::new(py, encoded.bytes())))
    }

    /// The payload that travelled as these bytes under this UUID.
    #[pyfunction]
    fn decode(py: Python<'_>, type_id: [u8; 16], data: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
        let type_id = payload::Type::from_be_bytes(type_id);
        if !payload::is_known(type_id) {
            return Err(errors::wrong_value("type_id", "no built-in type", "give one of BUILTIN_TYPES"));
        }
        payload::decode(py, type_id, data)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let table = PyDict::new(module.py());
        for (name, type_id) in payload::TABLE {
            table.set_item(name, PyBytes::new(module.py(), &type_id.to_be_bytes()))?;
        }
        module.add("BUILTIN_TYPES", table)?;
        module.add("PROTOCOL", ipmb_bus::wire::PROTOCOL_VERSION)?;
        module.add("PACKAGE", env!("CARGO_PKG_VERSION"))
    }
}
