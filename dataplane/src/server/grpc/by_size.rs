//! Two bounds on messages: those for inference, whose memory is reserved as they are read, and those of
//! everything else, which are read whole.

use std::task::{Context, Poll};

use http::Request;
use tonic::server::NamedService;
use tower::Service;

/// Largest message of a method other than inference. Prost makes of four bytes of a map more than a
/// hundred.
pub(super) const CONTROL_BYTES: usize = 64 << 10;

/// One service in two settings, chosen by the method.
#[derive(Clone)]
pub(super) struct BySize<S> {
    /// For `ModelInfer` and `ModelStreamInfer`.
    pub(super) inference: S,
    /// For every other method.
    pub(super) control: S,
}

impl<S: NamedService> NamedService for BySize<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for BySize<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.inference.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.control.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let method = request.uri().path().rsplit('/').next();
        match method {
            Some("ModelInfer" | "ModelStreamInfer") => self.inference.call(request),
            _ => self.control.call(request),
        }
    }
}
