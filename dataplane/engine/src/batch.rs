//! Runs queued requests on the thread that owns the engine, together where the model allows.
//!
//! What is queued is taken at once: nothing ever waits for company. Rows of several requests share
//! a run only where [`prove`] found that they do not influence each other.

mod attempt;
mod batching_probe;
mod compare;
mod merge;
mod observer;
mod order;
mod policy;
mod queue;
mod sample;
mod work;
mod worker;

pub use batching_probe::{Limits, Proof, prove, warm_up};
pub use observer::{Execution, Observer};
pub use work::{Completion, Rejected, WhenBusy, Work};
pub use worker::{Counts, Worker, WorkerOptions};
