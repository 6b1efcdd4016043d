//! The minimum pace of callers: one rule for bodies, gRPC messages and the lines of a stream.

use std::time::Duration;

use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use tokio::time::Instant;

/// Bytes a second that a body must average after its grace.
pub(super) const SLOWEST: f64 = 1024.0;

/// The deadline of the next bytes: no stall, after the grace an average of 1 KiB/s, and in all the time
/// that a request may take.
pub(super) fn next_bytes_by(
    begun: Instant,
    now: Instant,
    received: usize,
    limits: &Limits,
) -> Instant {
    let at_pace = Duration::from_secs_f64(received as f64 / SLOWEST);
    (now + limits.stall_timeout)
        .min(begun + limits.slow_body_grace + at_pace)
        .min(begun + limits.request_timeout)
}

/// The fault of a slower body.
pub(super) fn too_slow(received: usize) -> Fault {
    Fault::new(
        FaultKind::SlowBody,
        "slow_body",
        format!(
            "the request body came too slowly: {received} bytes so far; at least 1 KiB/s is needed, and the whole of it within the time of a request"
        ),
    )
}

/// The fault of a body that ends before its announced length, or of invalid chunks.
pub(super) fn broken(error: &axum::Error) -> Fault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(hyper) = current.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
                return Fault::new(FaultKind::Cancelled, "cancelled", "the caller left");
            }
            break;
        }
        cause = current.source();
    }
    Fault::new(
        FaultKind::Malformed,
        "malformed_body",
        "the framing of the request body is broken",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_keep_the_pace_after_its_grace() {
        let limits = Limits::default();
        let begun = Instant::now();
        let by = |after: u64, received| {
            next_bytes_by(begun, begun + Duration::from_secs(after), received, &limits) - begun
        };
        assert_eq!(by(0, 0), Duration::from_secs(10));
        assert_eq!(by(9, 5 * 1024), Duration::from_secs(15));
        assert_eq!(by(9, 1 << 20), Duration::from_secs(39));
        // However much of it has come.
        assert_eq!(by(59, 60 << 20), limits.request_timeout);
    }
}
