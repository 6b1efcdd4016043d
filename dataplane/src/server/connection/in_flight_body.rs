//! The body of an answer while it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::state::InFlight;
use crate::runtime::memory_budget::{Attached, Reservation, ResponseReservation};

/// Bytes of an answer that hyper's HTTP/2 gets at once. It buffers them until the peer takes
/// them, where a stall is not visible; the rest waits here, where a stall is detected. One frame of
/// the size that every peer takes (RFC 9113, 6.5.2).
const PIECE: usize = 16 << 10;

/// A body that counts its request as in flight until it is sent.
pub(super) struct InFlightBody {
    body: Body,
    /// The rest of the last frame.
    rest: Bytes,
    in_flight: InFlight,
    /// The memory of the body: its own, and what its stream holds. Each piece holds it until the peer
    /// has taken it.
    kept: (Option<ResponseReservation>, Option<Arc<Reservation>>),
}

impl InFlightBody {
    pub(super) fn new(body: Body, in_flight: InFlight, kept: Option<ResponseReservation>) -> Self {
        in_flight.offered();
        let kept = (kept, in_flight.held());
        Self {
            body,
            rest: Bytes::new(),
            in_flight,
            kept,
        }
    }

    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if self.in_flight.is_multiplexed() && data.len() > PIECE {
            self.rest = data.split_off(PIECE);
        }
        self.in_flight.offered();
        if self.kept.0.is_some() || self.kept.1.is_some() {
            data = Bytes::from_owner(Attached::new(data, self.kept.clone()));
        }
        Frame::data(data)
    }
}

impl http_body::Body for InFlightBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.piece(rest))));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                self.in_flight.making();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => self.piece(data),
                Err(trailers) => trailers,
            }))),
            end => end,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
