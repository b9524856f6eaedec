//! `Object`: a descriptor that can be attached to a message.
//!
//! It owns its number, nobody else's: whatever it is made of is duplicated, so that the program may close its own at
//! any time. The number is closed with the object and is not inherited by children, neither over `exec` nor over
//! `fork`; a program that wants that detaches it.

use std::fmt::Display;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipmb_transport::sys::Fd;
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyDict, PyInt, PyTuple};

use crate::errors::{self, a_type, os_error, wrong_type, wrong_value};
use crate::imported::Imported;
use crate::waiting::detached;

const KINDS: &str = "give an Object, the number of an open descriptor, or anything with a fileno()";
/// How methods name the object they are called on.
const THIS: &str = "this";
const NUMBERS: &str = "no open descriptor: give the number of one that is open in this process";

/// A descriptor that can be attached to a message: a file, a socket, a pipe's end, a memfd, a pidfd.
///
/// It owns a duplicate, which shares the open file (its position, its flags) with what it was made of; that stays the
/// caller's. It is closed by `close`, at the end of a `with` block, or when nobody holds the object any more. The
/// descriptor is close-on-exec, and dead in a forked child, where every use raises `Forked`: detach it before the fork
/// if the child is to have it.
///
/// Args:
///     fd_or_file: The number of an open descriptor, another `Object`, or anything with a `fileno()`. Flush a buffered
///         file first: what it holds back does not travel.
///
/// Attributes:
///     closed: Whether it holds no descriptor (any more).
///
/// Raises:
///     TypeError: `fd_or_file` is none of these.
///     ValueError: It is closed, or the number is not open.
///     OSError: This process has too many open files.
///
/// Example:
///     >>> import ipmb, os
///     >>> read_end, write_end = os.pipe()
///     >>> with ipmb.Object(write_end) as pipe:
///     ...     os.close(write_end)
///     ...     os.write(pipe.fileno(), b"hello")
///     5
///     >>> os.read(read_end, 10), os.read(read_end, 10)
///     (b'hello', b'')
///     >>> os.close(read_end)
#[pyclass(frozen, weakref, module = "ipmb")]
pub(crate) struct Object {
    /// Locked only while the interpreter lock is held, and never over anything that releases it.
    fd: Mutex<Option<Fd>>,
}

impl Object {
    pub(crate) fn new(fd: Fd) -> Object {
        Object { fd: Mutex::new(Some(fd)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fd>> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the descriptor. `place` names the object in an error.
    fn with<T>(&self, py: Python<'_>, place: &dyn Display, act: impl FnOnce(&Fd) -> io::Result<T>) -> PyResult<T> {
        let slot = self.lock();
        let result = match &*slot {
            Some(fd) if fd.is_alive() => act(fd),
            Some(_) => return Err(of_the_parent(py, place)),
            None => return Err(closed(place)),
        };
        drop(slot);
        result.map_err(|error| failed(place, &error))
    }

    fn take(&self, py: Python<'_>, place: &dyn Display) -> PyResult<Fd> {
        let mut slot = self.lock();
        match slot.take_if(|fd| fd.is_alive()) {
            Some(fd) => Ok(fd),
            None if slot.is_some() => Err(of_the_parent(py, place)),
            None => Err(closed(place)),
        }
    }

    /// Whether it can be sent now.
    pub(crate) fn check(&self, py: Python<'_>, place: &dyn Display) -> PyResult<()> {
        self.with(py, place, |_| Ok(()))
    }

    fn duplicate(&self, py: Python<'_>, place: &dyn Display) -> PyResult<Fd> {
        self.with(py, place, Fd::try_clone)
    }
}

fn of_the_parent(py: Python<'_>, place: &dyn Display) -> PyErr {
    errors::forked(
        py,
        format!("{place} belongs to the parent process: detach it before the fork, or open the file anew"),
    )
}

#[cold]
fn closed(place: &dyn Display) -> PyErr {
    PyValueError::new_err(format!("{place} is a closed Object: its descriptor is gone"))
}

fn failed(place: &dyn Display, error: &io::Error) -> PyErr {
    os_error(error, format!("{place} cannot be duplicated: {error}"))
}

/// A duplicate of what a program gives as a descriptor. `place` names the argument: `objects[2]`.
pub(crate) fn duplicate(place: &dyn Display, given: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let py = given.py();
    if let Ok(object) = given.cast_exact::<Object>() {
        return object.get().duplicate(py, place);
    }
    // Python takes True for 1, which is never meant here.
    if given.is_instance_of::<PyBool>() {
        return Err(wrong_type(&place.to_string(), given, KINDS));
    }
    let (number, of) = match given.cast::<PyInt>() {
        Ok(number) => (number.clone(), String::new()),
        Err(_) => (fileno(place, given)?, format!(" ({}'s)", a_type(given))),
    };
    let unusable = |bound| wrong_value(&place.to_string(), format!("{number}{of}"), bound);
    if number.lt(0)? {
        let closed = !of.is_empty();
        return Err(unusable(if closed { "closed: give one that is open" } else { "give 0 or more" }));
    }
    // A number that is too long for a descriptor is none that is open.
    let Ok(raw) = number.extract::<RawFd>() else { return Err(unusable(NUMBERS)) };
    match Fd::duplicate_number(raw) {
        Ok(Some(fd)) => Ok(fd),
        Ok(None) => Err(unusable(NUMBERS)),
        Err(error) => Err(failed(&format!("{place} is {number}{of}: it"), &error)),
    }
}

/// Asks an object for its number.
fn fileno<'py>(place: &dyn Display, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyInt>> {
    let py = given.py();
    let Some(method) = given.getattr_opt(intern!(py, "fileno"))?.filter(|method| method.is_callable()) else {
        return Err(wrong_type(&place.to_string(), given, KINDS));
    };
    let number = method.call0().map_err(|error| {
        // A closed file says ValueError, one in memory says UnsupportedOperation, which is an OSError too; everything
        // else is the program's own.
        if !error.is_instance_of::<PyValueError>(py) {
            return error;
        }
        if error.is_instance_of::<PyOSError>(py) {
            return wrong_value(&place.to_string(), format!("{} without a descriptor", a_type(given)), KINDS);
        }
        let told = wrong_value(&place.to_string(), a_type(given), &format!("its fileno() fails: {}", error.value(py)));
        told.set_cause(py, Some(error));
        told
    })?;
    number.cast_into::<PyInt>().map_err(|error| {
        let wrong = a_type(&error.into_inner());
        PyTypeError::new_err(format!("{place} is {}: its fileno() gives {wrong}, not an int", a_type(given)))
    })
}

#[pymethods]
impl Object {
    #[new]
    #[pyo3(signature = (fd_or_file, /))]
    fn make(fd_or_file: &Bound<'_, PyAny>) -> PyResult<Self> {
        duplicate(&"fd_or_file", fd_or_file).map(Object::new)
    }

    /// The number of the descriptor, which stays the object's.
    ///
    /// Raises:
    ///     ValueError: It is closed.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb, os
    ///     >>> with open("/dev/null") as file, ipmb.Object(file) as null:
    ///     ...     os.path.samestat(os.fstat(null.fileno()), os.stat("/dev/null"))
    ///     True
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        self.with(py, &THIS, |fd| Ok(fd.raw()))
    }

    /// Gives the descriptor away: the caller closes it. The object is closed from now on.
    ///
    /// Returns:
    ///     The number. It stays close-on-exec; see `os.set_inheritable`.
    ///
    /// Raises:
    ///     ValueError: It is closed.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb, os
    ///     >>> with open("/dev/null") as file:
    ///     ...     number = ipmb.Object(file).detach()
    ///     >>> os.close(number)
    fn detach(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.take(py, &THIS)?.into_owned().into_raw_fd())
    }

    /// Opens a file on a duplicate of the descriptor; both are to be closed, in any order.
    ///
    /// Args:
    ///     mode: As for the built-in `open`, "rb" unless given; it has to agree with how the descriptor was opened.
    ///     buffering: As for the built-in `open`, and so are the rest: 0 is unbuffered, -1 the default.
    ///     encoding: Of text; None is the locale's.
    ///     errors: What becomes of bytes that are not in that encoding.
    ///     newline: How ends of lines are translated.
    ///
    /// Returns:
    ///     The file object. It shares its position with all duplicates of the descriptor.
    ///
    /// Raises:
    ///     ValueError: It is closed, or `mode` or an option is wrong.
    ///     OSError: This process has too many open files, or the descriptor is no file.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with open("/proc/self/status") as file:
    ///     ...     status = ipmb.Object(file)
    ///     >>> with status, status.open("r", encoding="ascii") as copy:
    ///     ...     copy.readline().startswith("Name:")
    ///     True
    #[pyo3(signature = (mode = "rb", *, buffering = -1, encoding = None, errors = None, newline = None))]
    fn open<'py>(
        slf: &Bound<'py, Self>,
        mode: &str,
        buffering: i32,
        encoding: Option<&str>,
        errors: Option<&str>,
        newline: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static OPEN: Imported = Imported::new("builtins", "open");
        let py = slf.py();
        let name = format!("<ipmb.Object {}>", slf.get().fileno(py)?);
        // The built-in asks for the descriptor only when everything else is in order, and closes it if it fails later.
        let held = slf.clone().unbind();
        let opener =
            PyCFunction::new_closure(py, None, None, move |args: &Bound<'_, PyTuple>, _| -> PyResult<RawFd> {
                let py = args.py();
                let fd = held.get().duplicate(py, &THIS)?;
                Ok(fd.into_owned().into_raw_fd())
            })?;
        let named = PyDict::new(py);
        named.set_item("mode", mode)?;
        named.set_item("buffering", buffering)?;
        named.set_item("encoding", encoding)?;
        named.set_item("errors", errors)?;
        named.set_item("newline", newline)?;
        named.set_item("opener", opener)?;
        OPEN.get(py)?.call((name,), Some(&named))
    }

    /// Makes a `socket.socket` of a duplicate of the descriptor; both are to be closed, in any order.
    ///
    /// Returns:
    ///     The socket, of the family and type that the descriptor has.
    ///
    /// Raises:
    ///     ValueError: It is closed.
    ///     OSError: The descriptor is no socket, or this process has too many open files.
    ///     Forked: It belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb, socket
    ///     >>> here, there = socket.socketpair()
    ///     >>> with ipmb.Object(there) as handed, handed.socket() as copy:
    ///     ...     copy.send(b"hello")
    ///     5
    ///     >>> here.recv(10), here.close(), there.close()
    ///     (b'hello', None, None)
    fn socket<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static SOCKET: Imported = Imported::new("socket", "socket");
        let class = SOCKET.get(py)?;
        let fd = self.duplicate(py, &THIS)?;
        let named = PyDict::new(py);
        named.set_item("fileno", fd.raw())?;
        let made = class.call((), Some(&named));
        // No socket: the number is still ours. If anything else came in between (Ctrl-C), it may be the socket's
        //     already.
        if !made.as_ref().is_err_and(|error| error.is_instance_of::<PyOSError>(py)) {
            let _ = fd.into_owned().into_raw_fd();
        }
        made
    }

    /// Closes the descriptor. Closing twice is fine.
    fn close(&self, py: Python<'_>) {
        let fd = self.lock().take();
        // The end of some descriptors takes its time.
        if fd.is_some() {
            detached(py, || drop(fd));
        }
    }

    #[getter]
    fn closed(&self) -> bool {
        !self.lock().as_ref().is_some_and(Fd::is_alive)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close(py);
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an Object cannot be pickled or copied: send it with a message, as sender.send(to, payload, objects=[it])",
        ))
    }

    fn __repr__(&self) -> String {
        match &*self.lock() {
            Some(fd) if fd.is_alive() => format!("<Object {}>", fd.raw()),
            Some(_) => "<Object of the parent process>".to_owned(),
            None => "<Object closed>".to_owned(),
        }
    }
}
