//! Bodies of gRPC calls. tonic bounds the size of a message; this module bounds its pace, the memory of
//! all incomplete messages together, and the size of messages that tonic decodes itself.

mod boundaries;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::{deadline, oip_grpc};
use tokio::time::{Instant, Sleep, sleep_until};

use self::boundaries::Boundaries;
use crate::context::{Dialect, RequestContext};
use crate::runtime::Resources;
use crate::runtime::cpu_pool::INLINE_LIMIT;
use crate::runtime::memory_budget::Reservation;
use crate::server::pace::{next_bytes_by, too_slow};

/// Bytes a peer may send ahead of our reading on one HTTP/2 stream: the protocol's own default, by which
/// most servers of gRPC go.
pub(in crate::server) const STREAM_WINDOW: u32 = 64 << 10;

/// Methods whose messages are decoded by us, off the network's threads where they are large.
const INFERENCE: [&str; 2] = ["/ModelInfer", "/ModelStreamInfer"];

/// Bounds the body of a gRPC call by the pace and the memory of REST's bodies: the whole body, or
/// each message of a stream while it arrives.
pub(in crate::server) fn paced(
    request: Request<Body>,
    context: &RequestContext,
    resources: &Resources,
) -> Request<Body> {
    let begun = Instant::from_std(context.received);
    // An unreadable deadline counts as absent.
    let budget = context.budget().ok().flatten();
    let stream = context.dialect == Dialect::Grpc { stream: true };
    let infers = INFERENCE
        .iter()
        .any(|method| request.uri().path().ends_with(method));
    // What the peer may send ahead of our reading waits in the transport for as long as a stream does.
    let mut ahead = context.hold(&resources.memory);
    let refused = match stream {
        true => ahead.grow(STREAM_WINDOW as usize).err(),
        false => None,
    };
    request.map(|body| {
        Body::new(Paced {
            body,
            refused,
            _ahead: ahead,
            most: if infers { usize::MAX } else { INLINE_LIMIT },
            begun,
            until: budget.and_then(|budget| begun.checked_add(budget)),
            open: 0,
            held: context.hold(&resources.memory),
            timer: None,
            messages: stream.then(Messages::default),
            limits: Arc::clone(&resources.limits),
        })
    })
}

struct Paced {
    body: Body,
    /// Why nothing of the body is read.
    refused: Option<Fault>,
    /// Of a stream: the bytes that the transport holds of it.
    _ahead: Reservation,
    /// Most bytes of the incomplete body or message.
    most: usize,
    /// The start of the open wait.
    begun: Instant,
    /// The caller's deadline, if it has one.
    until: Option<Instant>,
    /// Bytes received of the incomplete body, or of a stream's incomplete message.
    open: usize,
    held: Reservation,
    /// Runs while the next bytes are awaited.
    timer: Option<Pin<Box<Sleep>>>,
    /// Of a stream.
    messages: Option<Messages>,
    limits: Arc<Limits>,
}

#[derive(Default)]
struct Messages {
    boundaries: Boundaries,
    /// The time since which no bytes were requested, in the middle of a message.
    unasked: Option<Instant>,
}

impl Paced {
    /// The deadline of the next bytes; between the messages of a stream, the caller's
    /// deadline.
    fn deadline(&self) -> Option<Instant> {
        let silent = self.messages.is_some() && self.open == 0;
        let pace =
            (!silent).then(|| next_bytes_by(self.begun, Instant::now(), self.open, &self.limits));
        pace.into_iter().chain(self.until).min()
    }

    /// Why waiting has ended.
    fn overdue(&self) -> Fault {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return deadline::passed();
        }
        too_slow(self.open)
    }

    /// Counts received bytes.
    ///
    /// # Errors
    /// `Overloaded`.
    fn came(&mut self, data: &[u8]) -> Result<(), Fault> {
        let received = self.open + data.len();
        let Some(messages) = &mut self.messages else {
            self.open = received;
            self.fits()?;
            return self.held.grow(received);
        };
        // The handlers reserve memory for complete messages, and refuse them one by one.
        let open = messages.boundaries.pass(data);
        if open > 0 {
            let now = Instant::now();
            messages.unasked = Some(now);
            if self.open == 0 || open < received {
                self.begun = now;
            }
        }
        self.open = open;
        self.fits()?;
        self.held.shrink(open);
        self.held.grow(open)
    }

    /// Checks the size of a message that tonic decodes on the network's thread.
    ///
    /// # Errors
    /// `TooLarge`.
    fn fits(&self) -> Result<(), Fault> {
        if self.open <= self.most {
            return Ok(());
        }
        let message = format!("messages of this method may have {} bytes", self.most);
        Err(Fault::new(
            FaultKind::TooLarge,
            "payload_too_large",
            message,
        ))
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(fault) = this.refused.take() {
            return Poll::Ready(Some(Err(status(&fault))));
        }
        // Time in which no bytes were requested does not count against the caller.
        if let Some(since) = this.messages.as_mut().and_then(|all| all.unasked.take()) {
            this.begun += since.elapsed();
        }
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if this.timer.is_none() {
                    let deadline = this.deadline();
                    this.timer = deadline.map(|by| Box::pin(sleep_until(by)));
                }
                let Some(timer) = &mut this.timer else {
                    return Poll::Pending;
                };
                ready!(timer.as_mut().poll(cx));
                return Poll::Ready(Some(Err(status(&this.overdue()))));
            }
        };
        this.timer = None;
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        };
        let counted = frame.data_ref().map_or(Ok(()), |data| this.came(data));
        Poll::Ready(Some(
            counted.map(|()| frame).map_err(|fault| status(&fault)),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error that tonic finds among the causes and renders.
fn status(fault: &Fault) -> BoxError {
    oip_grpc::status(fault).into()
}

#[cfg(test)]
mod tests;
