//! Reads a request's body in any content coding, bounded in size, in time, and in the memory of all
//! requests.

mod inflated;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;
use crate::server::pace::{broken, next_bytes_by, too_slow};
use crate::server::unary::Received;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::content_coding;

/// Bytes of a refused body that are still read, so that the caller can read the refusal.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Most bytes that are allocated for an announced length.
const TRUSTED_LENGTH: usize = 1 << 20;

/// Reads a whole body; the limit and the reservation count its inflated bytes.
///
/// # Errors
/// `UnsupportedEncoding`, `TooLarge`, `SlowBody`, `Overloaded`, `Malformed` for framing that breaks
/// off and for a coding that is not what the header says, `Cancelled` when the caller left.
pub(in crate::server) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    resources: &Resources,
    mut reservation: Reservation,
) -> Result<Received, Fault> {
    let limits = &*resources.limits;
    let coding = content_coding::of_request(headers)?;
    let announced = body.size_hint().exact().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let result = if announced > limits.body_bytes {
        Err(too_large(limits))
    } else {
        // An announced length is not trusted: callers that send little hold little memory.
        match reservation.grow(announced.min(TRUSTED_LENGTH)) {
            Ok(()) => collect(&mut body, announced, limits, &mut reservation).await,
            Err(fault) => Err(fault),
        }
    };
    match result {
        Ok(bytes) => match coding {
            None => Ok(Received { bytes, reservation }),
            Some(coding) => inflated::inflate(coding, bytes, reservation, resources).await,
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
    reservation: &mut Reservation,
) -> Result<Bytes, Fault> {
    let mut waiting_since = None;
    let mut first = Bytes::new();
    let mut rest: Option<Vec<u8>> = None;
    let mut total = 0;
    loop {
        // Most bodies arrive with their header and need no timer.
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
        // Trailers are ignored.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len();
        if total > limits.body_bytes {
            return Err(too_large(limits));
        }
        // Most bodies arrive in one piece, which is not copied.
        if first.is_empty() && rest.is_none() {
            reservation.grow(total)?;
            first = data;
        } else {
            let buffer = rest.get_or_insert_default();
            make_room(buffer, total, announced, reservation)?;
            buffer.extend_from_slice(&std::mem::take(&mut first));
            buffer.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(rest.map_or(first, Bytes::from))
}

/// Makes room for `total` bytes: the buffer grows by doubling, and reserves both places while its
/// bytes move.
fn make_room(
    buffer: &mut Vec<u8>,
    total: usize,
    announced: usize,
    reservation: &mut Reservation,
) -> Result<(), Fault> {
    let has = buffer.capacity();
    if total <= has {
        return Ok(());
    }
    let doubled = (2 * has).max(announced.min(TRUSTED_LENGTH));
    let wanted = if announced > 0 {
        doubled.min(announced).max(total)
    } else {
        doubled.max(total)
    };
    reservation.grow(has + wanted)?;
    buffer.reserve_exact(wanted - buffer.len());
    reservation.shrink(wanted);
    Ok(())
}

/// Reads on for a moment: a close with unread bytes would reset the connection, and the caller would
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
