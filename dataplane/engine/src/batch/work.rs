//! What a worker takes and gives: requests, and what comes of them.

use std::time::{Duration, Instant};

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Standing, Tensor, Timing};

/// One request, checked against the signature.
#[derive(Clone, Debug)]
pub struct Work {
    /// Its inputs.
    pub inputs: Vec<Tensor>,
    /// Indices of the outputs wanted, in the order wanted, none twice.
    pub outputs: Vec<usize>,
    /// When it asked for its place in the queue.
    pub arrived: Instant,
    /// When it is no longer worth computing.
    pub deadline: Instant,
    /// Among requests of the same caller; 1 is highest, 0 stands for "last".
    pub priority: u64,
    /// Its place among those of other callers.
    pub standing: Standing,
}

/// What becomes of a request when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// It is refused at once.
    Refuse,
    /// It waits for its turn until its deadline, in the order of arrival.
    Wait,
}

/// A request that did not run, or failed.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The reason, for the caller.
    pub fault: Fault,
    /// The reason label under which the request is to be counted; `None` for one that was queued,
    /// which the worker's [`Observer`](super::Observer) counts.
    pub reason: Option<&'static str>,
}

impl Rejected {
    pub(super) fn queue_full() -> Self {
        let fault = Fault::new(
            FaultKind::Overloaded,
            "overloaded",
            "the model's queue is full, or your share of it",
        )
        .retry_after(Duration::from_secs(1));
        Self {
            fault,
            reason: Some("full"),
        }
    }
}

impl From<Fault> for Rejected {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            reason: None,
        }
    }
}

/// A request that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The outputs wanted, in the order wanted.
    pub outputs: Vec<Tensor>,
    /// Where the time went.
    pub timing: Timing,
}
