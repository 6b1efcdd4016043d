//! Reading a request's body, in whatever coding it comes: bounded in size, in time, and in memory over
//! all requests.

mod inflated;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::memory_budget::{MemoryBudget, Reservation};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::content_coding;

/// Bytes a second that a body must average after its grace.
pub(super) const SLOWEST: f64 = 1024.0;

/// Of a refused body, what is read on so that the caller gets to read the refusal.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Most that is allocated on a caller's mere announcement.
const TRUSTED_LENGTH: usize = 1 << 20;

/// A body's plain bytes, and their share of the budget.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) held: Reservation,
}

/// Reads a whole body; what it holds when inflated is what the limit and the budget count.
///
/// # Errors
/// `UnsupportedEncoding`, `TooLarge`, `SlowBody`, `Overloaded`, `Malformed` for framing that breaks
/// off and for a coding that is not what the header says, `Cancelled` when the caller left.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    limits: &Limits,
    budget: &Arc<MemoryBudget>,
    heavy: &CpuPool,
) -> Result<Received, Fault> {
    let coding = content_coding::of_request(headers)?;
    let mut held = budget.hold();
    let announced = body.size_hint().exact().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let result = if announced > limits.body_bytes {
        Err(too_large(limits))
    } else {
        // No more than a mere announcement is trusted: callers who send little hold little.
        match held.grow(announced.min(TRUSTED_LENGTH)) {
            Ok(()) => collect(&mut body, announced, limits, &mut held).await,
            Err(fault) => Err(fault),
        }
    };
    match result {
        Ok(bytes) => match coding {
            None => Ok(Received { bytes, held }),
            Some(coding) => inflated::inflate(coding, bytes, held, limits.body_bytes, heavy).await,
        },
        Err(fault) => {
            if matches!(fault.kind, FaultKind::TooLarge | FaultKind::Overloaded) {
                tokio::spawn(discard(body));
            }
            Err(fault)
        }
    }
}

async fn collect(
    body: &mut Body,
    announced: usize,
    limits: &Limits,
    held: &mut Reservation,
) -> Result<Bytes, Fault> {
    let mut waiting_since = None;
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut total = 0;
    loop {
        // Mostly the body came with its header, and nobody need look at the clock.
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None => {
                let now = Instant::now();
                let begun = *waiting_since.get_or_insert(now);
                let deadline = next_bytes_by(begun, now, total, limits);
                let frame = timeout_at(deadline, body.frame()).await;
                frame.map_err(|_| too_slow(total))?
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| broken(&error))?;
        // Trailers mean nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len();
        if total > limits.body_bytes {
            return Err(too_large(limits));
        }
        held.grow(total)?;
        // Mostly the whole body comes in one piece, and is not copied.
        if let Some(rest) = &mut rest {
            rest.extend_from_slice(&data);
        } else if first.is_empty() {
            first = data;
        } else {
            let capacity = announced.min(TRUSTED_LENGTH).max(total);
            let mut buffer = BytesMut::with_capacity(capacity);
            buffer.extend_from_slice(&first);
            buffer.extend_from_slice(&data);
            rest = Some(buffer);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// When the next bytes must have come: no stall, and after the grace an average of 1 KiB/s.
pub(super) fn next_bytes_by(
    begun: Instant,
    now: Instant,
    received: usize,
    limits: &Limits,
) -> Instant {
    let at_pace = Duration::from_secs_f64(received as f64 / SLOWEST);
    (now + limits.stall_timeout).min(begun + limits.slow_body_grace + at_pace)
}

/// Reads on for a moment: closing on unread bytes would reset the connection, and the caller would
/// never see the answer.
async fn discard(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARD_BYTES {
                break;
            }
        }
    };
    let _ = timeout(DISCARD_TIME, reading).await;
}

fn too_large(limits: &Limits) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!(
            "the request body is larger than {} bytes",
            limits.body_bytes
        ),
    )
}

pub(super) fn too_slow(received: usize) -> Fault {
    Fault::new(
        FaultKind::SlowBody,
        "slow_body",
        format!(
            "the request body came too slowly: {received} bytes so far; at least 1 KiB/s is needed"
        ),
    )
}

/// A body that ends before its announced length, or chunks that are none.
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
    }
}
