//! One line per finished inference request, under the target `serin::access`.
//!
//! Failures of the server are at `warn`, refused requests at `info`, answers at `debug`: a line for
//! each of 50,000 answers a second would cost more than the answers.

use super::metrics::RequestOutcome;

/// The target to filter by, as in `RUST_LOG=info,serin::access=debug`.
const TARGET: &str = "serin::access";

/// A finished request, and who asked for what.
pub struct Record<'a> {
    /// The `x-request-id` of the answer.
    pub request_id: &'a str,
    /// The model's name as asked for: any text, cut if it is long.
    pub model: &'a str,
    /// The version that ran, or that was asked for, which is any text too.
    pub version: &'a str,
    /// Its figures.
    pub finished: &'a RequestOutcome,
    /// The trace that it was part of.
    pub trace_id: Option<&'a str>,
    /// Code and message of one that failed.
    pub error: Option<(&'static str, &'a str)>,
}

impl Record<'_> {
    /// Writes the line, if its level is on.
    pub fn log(&self) {
        let finished = self.finished;
        let timing = finished.phases.timing.unwrap_or_default();
        let first_part = finished.parts.and_then(|parts| parts.first);
        macro_rules! line {
            ($level:ident, $($error:tt)*) => {
                tracing::$level!(
                    target: TARGET,
                    request_id = self.request_id,
                    model = self.model,
                    version = self.version,
                    protocol = finished.protocol,
                    operation = finished.operation,
                    status = finished.code,
                    outcome = finished.outcome,
                    duration_us = finished.duration.as_micros() as u64,
                    decode_us = finished.phases.decode.as_micros() as u64,
                    queue_us = timing.queue.as_micros() as u64,
                    compute_us = timing.compute.as_micros() as u64,
                    encode_us = finished.phases.encode.as_micros() as u64,
                    batch_us = timing.batch.as_micros() as u64,
                    batch_rows = timing.batch_rows as u64,
                    parts = finished.parts.map(|parts| parts.count),
                    first_part_us = first_part.map(|after| after.as_micros() as u64),
                    trace_id = self.trace_id,
                    $($error)*
                    "request"
                )
            };
        }
        match self.error {
            None => line!(debug,),
            Some((code, error)) if finished.code >= 500 => line!(warn, code, error,),
            Some((code, error)) => line!(info, code, error,),
        }
    }
}
