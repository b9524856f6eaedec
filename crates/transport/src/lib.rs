//! All the unsafe code of the bus.
