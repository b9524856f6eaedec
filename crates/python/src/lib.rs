//! The native module `ipmb._core`: what is on the path of a message, and thin faces of the core's own values.
//!
//! From the bottom up: `imported`, what Python modules have; `errors`, exceptions; `arguments`, checks that several functions share; `waiting`, with the
//! interpreter lock released; `label` and `selector`, where a message goes; `peer`, who sent it; `registry`, `msgpack`,
//! `payload` and `received`, what it carries; `object`, `region` and `memory_registry`, what travels beside that, and
//! `attachments`, how; `bulk`, memory of large payloads; `message`; `order` and `routes`, what is sent and where to; `sender`,
//! and `sending` for event loops; `taken`, what comes out of a ring; `receiver`; `asking`, requests; `watch`;
//! `endpoint`; `queue_store`, what `ipmb.Queue` stands on.
//!
//! What other languages need as well is in `ipmb-binding`, below.
//!
//! The interpreter lock is held while a ring is read or written and released in every wait. The core never calls back.
#![forbid(unsafe_code)]

mod arguments;
mod asking;
mod attachments;
mod bulk;
mod endpoint;
mod errors;
mod imported;
mod label;
mod memory_registry;
mod message;
mod msgpack;
mod object;
mod order;
mod payload;
mod peer;
mod queue_store;
mod received;
mod receiver;
mod region;
mod registry;
mod routes;
mod selector;
mod sender;
mod sending;
mod taken;
mod waiting;
mod watch;

use pyo3::prelude::*;

/// The native half of the package. Import from `ipmb`, not from here.
// Builds without the interpreter lock are not tested yet: there Python takes the lock back for us.
#[pymodule(gil_used = true)]
mod _core {
    use ipmb_binding::types;
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict, PyTuple};

    use crate::{errors, payload, received};

    #[pymodule_export]
    use crate::asking::Asking;
    #[pymodule_export]
    use crate::bulk::{Bulk, alloc, find};
    #[pymodule_export]
    use crate::endpoint::{Endpoint, Joining, begin_join, close_all, join, next_notice};
    #[pymodule_export]
    use crate::label::{Label, LabelOp};
    #[pymodule_export]
    use crate::memory_registry::MemoryRegistry;
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::object::Object;
    #[pymodule_export]
    use crate::peer::EndpointInfo;
    #[pymodule_export]
    use crate::queue_store::QueueStore;
    #[pymodule_export]
    use crate::receiver::Receiver;
    #[pymodule_export]
    use crate::region::MemoryRegion;
    #[pymodule_export]
    use crate::selector::Selector;
    #[pymodule_export]
    use crate::sender::Sender;
    #[pymodule_export]
    use crate::sending::{Sending, start_reply, start_send, start_send_many};
    #[pymodule_export]
    use crate::watch::Watch;
    #[pymodule_export]
    use ipmb_transport::export::Exporter;

    #[pymodule_export]
    use crate::registry::register;

    /// The UUID a payload travels under, its bytes, and what follows in a bulk: `(bulk, offset, length)` or None.
    #[pyfunction]
    fn encode<'py>(payload: &'py Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let py = payload.py();
        let encoded = payload::encode(payload)?;
        let bulk = encoded.bulk.as_ref().map(|bulk| (bulk.memory.clone(), bulk.offset, bulk.len));
        let (type_id, bytes) = (encoded.type_id.to_be_bytes(), PyBytes::new(py, encoded.bytes()));
        (PyBytes::new(py, &type_id), bytes, bulk).into_pyobject(py)
    }

    /// The payload that travelled as these bytes under this UUID, and with this bulk behind them.
    #[pyfunction]
    #[pyo3(signature = (type_id, data, bulk = None))]
    fn decode(
        py: Python<'_>,
        type_id: [u8; 16],
        data: &Bound<'_, PyBytes>,
        bulk: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let type_id = types::Type::from_be_bytes(type_id);
        if !received::is_known(type_id) {
            return Err(errors::wrong_value("type_id", "unknown", "give one of BUILTIN_TYPES, or register it"));
        }
        match bulk {
            None => received::decode(py, type_id, data, &received::Takes::new(None)),
            Some(_) => received::with_codec(py, type_id, data, bulk),
        }
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let table = PyDict::new(module.py());
        for (name, type_id) in types::TABLE {
            table.set_item(name, PyBytes::new(module.py(), &type_id.to_be_bytes()))?;
        }
        module.add("BUILTIN_TYPES", table)?;
        module.add("VIEW_BYTES", types::VIEW_BYTES)?;
        module.add("HEAD_BYTES", ipmb_bus::limits::HEAD_BYTES)?;
        module.add("PROTOCOL", ipmb_bus::wire::PROTOCOL_VERSION)?;
        module.add("PACKAGE", env!("CARGO_PKG_VERSION"))
    }
}
