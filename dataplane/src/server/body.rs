//! Reading a request's body: bounded in size, in time, and in memory over all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Limits;
use crate::fault::{Fault, FaultKind};

/// Bytes a second that a body must average after its grace.
const SLOWEST: f64 = 1024.0;

/// Of a refused body, what is read on so that the caller gets to read the refusal.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Most that is allocated on a caller's mere announcement.
const TRUSTED_LENGTH: usize = 1 << 20;

/// Bytes of request bodies held at once.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
        })
    }

    fn hold(self: &Arc<Self>) -> Held {
        Held {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// Bytes taken from the budget until dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// Holds `bytes` in all.
    fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.budget.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if before + more <= self.budget.limit {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Overloaded,
            "overloaded",
            "too many request bodies are being read at once; try again shortly",
        ))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body, and its share of the budget.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) held: Held,
}

/// Reads a whole body.
///
/// # Errors
/// `UnsupportedEncoding`, `TooLarge`, `SlowBody`, `Overloaded`, `Malformed` for framing that breaks
/// off, `Cancelled` when the caller left.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    limits: &Limits,
    budget: &Arc<Budget>,
) -> Result<Received, Fault> {
    refuse_encodings(headers)?;
    let mut held = budget.hold();
    let announced = body.size_hint().exact().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let result = if announced > limits.body_bytes {
        Err(too_large(limits))
    } else {
        match held.grow(announced) {
            Ok(()) => collect(&mut body, announced, limits, &mut held).await,
            Err(fault) => Err(fault),
        }
    };
    match result {
        Ok(bytes) => Ok(Received { bytes, held }),
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
    held: &mut Held,
) -> Result<Bytes, Fault> {
    let begun = Instant::now();
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut total = 0;
    loop {
        let deadline = next_bytes_by(begun, Instant::now(), total, limits);
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
            Ok(None) => break,
            Err(_) => return Err(too_slow(total)),
        };
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
fn next_bytes_by(begun: Instant, now: Instant, received: usize, limits: &Limits) -> Instant {
    let at_pace = Duration::from_secs_f64(received as f64 / SLOWEST);
    (now + limits.stall_timeout).min(begun + limits.slow_body_grace + at_pace)
}

/// Only `identity` is understood so far; what is understood must be all there is.
fn refuse_encodings(headers: &HeaderMap) -> Result<(), Fault> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let coding = value.to_str().unwrap_or("?").trim();
        if !coding.eq_ignore_ascii_case("identity") {
            let coding: String = coding.chars().take(40).collect();
            return Err(Fault::new(
                FaultKind::UnsupportedEncoding,
                "unsupported_encoding",
                format!("content encoding '{coding}' is not offered; send the body as it is"),
            )
            .with_param(CONTENT_ENCODING.as_str()));
        }
    }
    Ok(())
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

fn too_slow(received: usize) -> Fault {
    Fault::new(
        FaultKind::SlowBody,
        "slow_body",
        format!(
            "the request body came too slowly: {received} bytes so far; at least 1 KiB/s is needed"
        ),
    )
}

/// A body that ends before its announced length, or chunks that are none.
fn broken(error: &axum::Error) -> Fault {
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

    #[test]
    fn the_budget_is_given_back() {
        let budget = Budget::new(100);
        let mut first = budget.hold();
        assert!(first.grow(60).is_ok());
        let mut second = budget.hold();
        assert_eq!(second.grow(60).unwrap_err().kind, FaultKind::Overloaded);
        drop(second);
        assert!(first.grow(100).is_ok());
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn stacked_and_unknown_codings_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "Identity".parse().unwrap());
        assert!(refuse_encodings(&headers).is_ok());
        headers.insert(CONTENT_ENCODING, "gzip, br".parse().unwrap());
        assert_eq!(
            refuse_encodings(&headers).unwrap_err().kind,
            FaultKind::UnsupportedEncoding
        );
    }
}
