//! What is counted of a request at its end.

use std::time::Duration;

use serin_core::types::Timing;

/// The phases of a request that the protocol measures, and those below it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    /// Reading the body's tensors.
    pub decode: Duration,
    /// Waiting and running; absent when the request never ran.
    pub timing: Option<Timing>,
    /// Writing the answer.
    pub encode: Duration,
}

/// The parts of a stream's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartsSent {
    /// How many were sent.
    pub count: u64,
    /// From receiving the request's header to the first; absent while there is none.
    pub first: Option<Duration>,
}

/// A finished inference request.
#[derive(Clone, Copy, Debug)]
pub struct RequestOutcome {
    /// `rest`, `grpc`...
    pub protocol: &'static str,
    /// `infer`, `stream`...
    pub operation: &'static str,
    /// `ok` or the fault's outcome.
    pub outcome: &'static str,
    /// HTTP status.
    pub code: u16,
    /// From receiving the request's header to having the last bytes of its answer.
    pub duration: Duration,
    /// Where the time went.
    pub phases: Phases,
    /// Bytes of the request's body and of its answer's, of one that was answered.
    pub body_bytes: Option<(usize, usize)>,
    /// The parts of its answer, of a stream.
    pub parts: Option<PartsSent>,
}
