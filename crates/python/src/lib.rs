//! The native module `ipmb._core`.
