//! Errors of the core as JavaScript gets them: `code` is the name of the class that the face makes of it.

use ipmb_binding::failure::{Failure, Kind};

/// What native functions return.
pub(crate) type Result<T> = std::result::Result<T, napi::Error<&'static str>>;

/// An error by its kind and text.
pub(crate) fn told(failure: impl Into<Failure>) -> napi::Error<&'static str> {
    let failure = failure.into();
    napi::Error::new(failure.kind.name(), failure.text)
}

/// What the operating system refused while something was done with `what`.
pub(crate) fn refused(what: &str, error: &std::io::Error) -> napi::Error<&'static str> {
    told(Failure::system(what, error))
}

/// An argument that the face should not have let through.
pub(crate) fn invalid(text: impl Into<String>) -> napi::Error<&'static str> {
    told(Failure::new(Kind::Invalid, text))
}

/// What Node itself refused.
pub(crate) fn unable(error: napi::Error) -> napi::Error<&'static str> {
    told(Failure::new(Kind::System, error.reason))
}
