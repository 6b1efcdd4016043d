//! What a worker reports of its requests and runs: counters live above this crate.

use std::sync::Arc;
use std::time::Duration;

/// Counts what happens at one model's queue and engine threads. Called on hot paths: implementations
/// neither block nor allocate.
pub trait Observer: Send + Sync + 'static {
    /// A request waits for the engine.
    fn enqueued(&self) {}

    /// A request waits no longer: it runs, or was given up.
    fn dequeued(&self) {}

    /// A request left the queue without running: `timeout` or `cancelled`.
    fn rejected(&self, reason: &'static str) {
        let _ = reason;
    }

    /// The model ran over `rows` rows, with or without success.
    fn ran(&self, rows: usize) {
        let _ = rows;
    }

    /// A run gave answers.
    fn answered(&self, run: &Execution) {
        let _ = run;
    }
}

/// Counts nothing.
impl Observer for () {}

/// One run that gave answers.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    /// Requests answered by it.
    pub requests: u64,
    /// Their rows.
    pub rows: usize,
    /// The time that they waited, added up.
    pub queued: Duration,
    /// Putting their rows together.
    pub input: Duration,
    /// Running the model.
    pub infer: Duration,
    /// Taking the rows apart.
    pub output: Duration,
}

/// Counts a request as waiting until dropped.
pub(super) struct Waiting(Arc<dyn Observer>);

impl Waiting {
    pub(super) fn new(observer: &Arc<dyn Observer>) -> Self {
        observer.enqueued();
        Self(Arc::clone(observer))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dequeued();
    }
}
