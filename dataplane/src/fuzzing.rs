//! The private readers, for the fuzz targets of the crate `serin-fuzz` alone (feature `fuzzing`).
//!
//! Each folder opens its own in a file of this name; a reader keeps its visibility for everyone
//! else.

pub use crate::config::fuzzing as config;
pub use crate::model::fuzzing as model;
pub use crate::server::fuzzing as server;
pub use crate::telemetry::traces::fuzzing as traces;
