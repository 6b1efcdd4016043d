//! Runs queued requests on the thread that owns the engine, together where the model allows.
//!
//! What is queued is taken at once: nothing ever waits for company. Rows of several requests share
//! a run only where [`prove`] found that they do not influence each other.

mod attempt;
mod batching_probe;
mod compare;
mod edges;
mod merge;
mod observer;
mod order;
mod policy;
mod queue;
mod sample;
mod work;
mod worker;

pub use batching_probe::{Limits, Proof, Unanswered, Warm, prove, warm_up};
pub use edges::{Edge, EdgeTime, Extreme, InputGuard, UnsafeInput, edges, try_edges, try_rows};
pub use observer::{Execution, Observer};
pub use work::{Completion, Rejected, WhenBusy, Work};
pub use worker::{Counts, Worker, WorkerOptions};
