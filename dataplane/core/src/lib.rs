//! The types that every layer of the data plane shares: tensors and signatures, calls and their
//! outputs, the one error type, and the limits on requests. Data and pure functions, no I/O.
#![forbid(unsafe_code)]

pub mod fault;
pub mod limits;
pub mod types;

pub use fault::{Fault, FaultKind};
pub use limits::Limits;
