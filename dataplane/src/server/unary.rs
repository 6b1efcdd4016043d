//! A request with one answer, whatever its protocol: what is done around the protocol's own reading
//! and writing.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use futures_util::FutureExt;
use http::Response;
use http::request::Parts;
use http_body::Body as _;
use tokio::time::timeout_at;

use super::app::App;
use super::body::{self, Received};
use super::exchange::{Exchange, refusal};
use crate::pipeline::Serve;
use crate::telemetry::RequestRecord;
use serin_core::fault::Fault;
use serin_core::types::{Call, CallMeta, ModelRef, Reply};
use serin_wire::deadline;

/// Who asks, and how.
pub(super) struct Unary<'a, S> {
    pub(super) app: &'a Arc<App<S>>,
    pub(super) parts: Parts,
    pub(super) exchange: Exchange,
}

/// What a request came to.
pub(super) struct Answered {
    /// Bytes of its plain body.
    pub(super) request_bytes: usize,
    pub(super) response: Response<Body>,
}

impl<'a, S: Serve> Unary<'a, S> {
    /// The request, and its body, which has not been read.
    pub(super) fn of(app: &'a Arc<App<S>>, request: Request) -> (Self, Body) {
        let (mut parts, body) = request.into_parts();
        let exchange = Exchange::of(&mut parts);
        let unary = Self {
            app,
            parts,
            exchange,
        };
        (unary, body)
    }

    /// Begins its record.
    pub(super) fn record<'s>(
        &'s self,
        protocol: &'static str,
        operation: &'static str,
        model: &'s ModelRef,
    ) -> RequestRecord<'s> {
        let info = self.exchange.info(protocol, operation, model);
        RequestRecord::begin(&self.app.metrics, info)
    }

    /// The whole body, within the server's limits.
    ///
    /// # Errors
    /// Those of [`body::read`], and `Timeout`.
    pub(super) async fn read(&self, body: Body) -> Result<Received, Fault> {
        let app = self.app;
        let headers = &self.parts.headers;
        let reading = body::read(body, headers, &app.limits, &app.bodies, &app.heavy);
        self.in_time(reading).await
    }

    /// What `work` comes to before the caller's time is over.
    ///
    /// # Errors
    /// Those of `work`, and `Timeout`.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let mut work = pin!(work);
        // Mostly it is done at once, and nobody need look at the clock.
        if let Some(done) = work.as_mut().now_or_never() {
            return done;
        }
        let deadline = self.deadline(None)?;
        let done = timeout_at(deadline.into(), work).await;
        done.unwrap_or_else(|_| Err(deadline::passed()))
    }

    /// When it is no longer worth computing, `own` being what the request's body asks for.
    ///
    /// # Errors
    /// `Malformed` for a header that says no time.
    pub(super) fn deadline(&self, own: Option<Duration>) -> Result<Instant, Fault> {
        let asked = deadline::asked(&self.parts.headers)?;
        let budget = deadline::least(self.app.limits.request_timeout, [asked, own]);
        Ok(self.exchange.received + budget)
    }

    /// What goes with a call of this request; `id` is the request's own, if its body has one.
    pub(super) fn meta(&self, id: Option<String>, deadline: Instant) -> CallMeta {
        let request_id = self.exchange.id();
        CallMeta {
            id: id.unwrap_or_else(|| request_id.to_owned()),
            request_id: request_id.to_owned(),
            received: self.exchange.received,
            deadline,
            priority: 0,
        }
    }

    /// The model's reply, entered in `record`.
    ///
    /// # Errors
    /// Those of [`Serve::serve`].
    pub(super) async fn serve(
        &self,
        call: Call,
        record: &mut RequestRecord<'_>,
    ) -> Result<Reply, Fault> {
        let reply = self.app.service.serve(call).await?;
        let timing = record.phases.timing.unwrap_or_default().then(reply.timing);
        record.phases.timing = Some(timing);
        record.set_version(&reply.model_version);
        Ok(reply)
    }

    /// The answer, which ends the record.
    pub(super) fn end(
        &self,
        record: RequestRecord<'_>,
        outcome: Result<Answered, Fault>,
    ) -> Response<Body> {
        match outcome {
            Ok(Answered {
                request_bytes,
                mut response,
            }) => {
                let bytes = response.body().size_hint().exact().unwrap_or(0);
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                let _settled = record.succeeded(request_bytes, bytes);
                self.app.bodies.keep(bytes, response.extensions_mut());
                response
            }
            Err(fault) => {
                let _settled = record.failed(&fault);
                refusal(&fault, &self.parts, &self.exchange)
            }
        }
    }
}
