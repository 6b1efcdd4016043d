//! Bodies of gRPC calls with one request: their size is tonic's to bound, their pace and what all
//! of them hold together are not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{self, Held};
use super::connection::Connections;
use crate::fault::Fault;

/// Methods whose callers may be silent between their requests for as long as they like.
const STREAMS: [&str; 2] = ["/ModelStreamInfer", "/ServerReflectionInfo"];

/// Whether the request is gRPC's.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// Holds the body of a gRPC call to the pace and the budget that REST's bodies are held to.
pub(super) fn paced(request: Request<Body>, connections: &Arc<Connections>) -> Request<Body> {
    let path = request.uri().path();
    if !is_grpc(&request) || STREAMS.iter().any(|method| path.ends_with(method)) {
        return request;
    }
    request.map(|body| {
        Body::new(Paced {
            body,
            begun: Instant::now(),
            received: 0,
            held: connections.bodies.hold(),
            timer: None,
            connections: Arc::clone(connections),
        })
    })
}

struct Paced {
    body: Body,
    begun: Instant,
    received: usize,
    held: Held,
    /// Runs while the next bytes are awaited.
    timer: Option<Pin<Box<Sleep>>>,
    connections: Arc<Connections>,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| {
                    let limits = &this.connections.limits;
                    let by = body::next_bytes_by(this.begun, Instant::now(), this.received, limits);
                    Box::pin(sleep_until(by))
                });
                ready!(timer.as_mut().poll(cx));
                return Poll::Ready(Some(Err(status(body::too_slow(this.received)))));
            }
        };
        this.timer = None;
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        };
        this.received += frame.data_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(match this.held.grow(this.received) {
            Ok(()) => Ok(frame),
            Err(fault) => Err(status(fault)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error that tonic finds among its causes and answers with.
fn status(fault: Fault) -> BoxError {
    tonic::Status::new(fault.kind.grpc_code().into(), fault.message).into()
}
