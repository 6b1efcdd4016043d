//! What every layer of the data plane shares: tensors and signatures, a call and its reply, the one
//! fault, and the bounds on what callers may send. Data and pure functions, no I/O.
#![forbid(unsafe_code)]

pub mod fault;
pub mod limits;
pub mod types;

pub use fault::{Fault, FaultKind};
pub use limits::Limits;
