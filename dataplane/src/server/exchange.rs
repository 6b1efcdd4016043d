//! One request and its answer, whatever the route: id, panics, and what every answer carries.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ACCEPT, CONNECTION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tower::Service;

use super::compress::compress;
use super::connection::{Connections, InFlight, Stage};
use super::grpc_body;
use super::in_flight_body::InFlightBody;
use crate::telemetry::{RequestInfo, Trace, Tracer};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::content_coding::{self, Accepted};
use serin_wire::errors::{self, ErrorContext, PROBLEM_JSON};
use serin_wire::request_id;

/// Where callers name the trace that a request is part of (W3C Trace Context), and where its answer
/// names our span.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// What a handler may ask of the exchange that it is part of.
#[derive(Clone)]
pub(super) struct Exchange {
    /// The request's id, the caller's own where it is acceptable.
    pub(super) id: HeaderValue,
    /// When the request's header had been read.
    pub(super) received: Instant,
}

impl Exchange {
    /// The exchange of a request on its way to a handler.
    pub(super) fn of(parts: &mut Parts) -> Self {
        parts
            .extensions
            .remove()
            .unwrap_or_else(|| Self::begin(&HeaderMap::new()))
    }

    fn begin(headers: &HeaderMap) -> Self {
        let id = request_id::of(
            headers
                .get(request_id::HEADER_NAME)
                .map(HeaderValue::as_bytes),
        );
        Self {
            // Letters, digits and `._:-` are always a header value.
            id: HeaderValue::from_maybe_shared(Bytes::from(id))
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            received: Instant::now(),
        }
    }

    /// The id as text.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// What the record of an inference says of this exchange.
    pub(super) fn info<'a>(
        &'a self,
        protocol: &'static str,
        operation: &'static str,
        model: &'a ModelRef,
    ) -> RequestInfo<'a> {
        RequestInfo {
            protocol,
            operation,
            request_id: Cow::Borrowed(self.id()),
            model: Cow::Borrowed(model),
            received: self.received,
        }
    }
}

/// The trace that a request may be part of.
fn trace_of(tracer: &Tracer, request: &Request<Body>) -> Trace {
    let values = |name| {
        let values = request.headers().get_all(name).into_iter();
        values.map(HeaderValue::as_bytes)
    };
    tracer.trace(
        (request.method().as_str(), request.uri().path()),
        values(TRACE_PARENT),
        values(TRACE_STATE),
    )
}

/// Answers one request by `router`.
pub(super) async fn serve(
    connections: Arc<Connections>,
    mut router: Router,
    request: Request<Incoming>,
    in_flight: InFlight,
) -> Response<InFlightBody> {
    let exchange = Exchange::begin(request.headers());
    let id = exchange.id.clone();
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let accepted = match is_head {
        false => content_coding::accepted(request.headers()),
        // Whose body is not sent need not be compressed.
        true => Accepted::Plain,
    };
    let mut request = grpc_body::paced(request.map(Body::new), &connections);
    let mut trace = None;
    let mut response = if request.uri().path().len() > connections.limits.uri_bytes
        || request
            .uri()
            .query()
            .is_some_and(|query| query.len() > connections.limits.uri_bytes)
    {
        let (parts, _) = request.into_parts();
        let fault = Fault::new(
            FaultKind::Malformed,
            "uri_too_long",
            format!(
                "the path or query is longer than {} bytes",
                connections.limits.uri_bytes
            ),
        );
        refusal(&fault, &parts, &exchange)
    } else {
        // A panic must not take other streams of the connection with it. What it may leave
        // half-changed is dropped with the request.
        let context = PanicContext::of(&request, &exchange);
        request.extensions_mut().insert(exchange);
        trace = connections
            .tracer
            .as_ref()
            .map(|tracer| trace_of(tracer, &request));
        let answer = async {
            match router.call(request).await {
                Ok(response) => compress(response, accepted, &connections.heavy).await,
                Err(never) => match never {},
            }
        };
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let answered = match trace.clone() {
            // Boxed, so that requests without a trace are no larger for it.
            Some(trace) => Box::pin(trace.scope(answer)).await,
            None => answer.await,
        };
        match answered {
            Ok(response) => response,
            Err(_) => {
                connections.metrics.panics.inc();
                context.answer()
            }
        }
    };
    if is_head {
        *response.body_mut() = Body::empty();
    }
    let status = response.status();
    let headers = response.headers_mut();
    // gRPC's services set it themselves.
    headers.entry(request_id::HEADER_NAME).or_insert(id);
    if let Some(parent) = trace.as_ref().and_then(Trace::header)
        && let Ok(parent) = HeaderValue::try_from(parent)
    {
        headers.insert(TRACE_PARENT, parent);
    }
    if version < Version::HTTP_2 {
        // What has become another protocol closes in that one's way.
        let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
        if connections.stage() != Stage::Open && !upgraded {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    } else {
        headers.remove(CONNECTION);
    }
    let kept = response.extensions_mut().remove();
    response.map(|body| InFlightBody::new(body, in_flight, kept))
}

/// The answer for a fault outside the OpenAI paths.
pub(super) fn refusal(fault: &Fault, parts: &Parts, exchange: &Exchange) -> Response<Body> {
    refuse(
        fault,
        parts.uri.path(),
        wants_problem(&parts.headers),
        exchange,
    )
}

fn refuse(fault: &Fault, path: &str, problem_json: bool, exchange: &Exchange) -> Response<Body> {
    let context = ErrorContext {
        request_id: exchange.id(),
        path,
        problem_json,
    };
    let mut response = errors::response(fault, context).map(Body::from);
    // The rest of the body is still coming and nobody will read it.
    if matches!(fault.kind, FaultKind::TooLarge | FaultKind::SlowBody) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn wants_problem(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains(PROBLEM_JSON))
    })
}

/// What an answer to a request needs that a panic has swallowed.
struct PanicContext {
    path: http::Uri,
    problem_json: bool,
    exchange: Exchange,
}

impl PanicContext {
    fn of(request: &Request<Body>, exchange: &Exchange) -> Self {
        Self {
            path: request.uri().clone(),
            problem_json: wants_problem(request.headers()),
            exchange: exchange.clone(),
        }
    }

    fn answer(&self) -> Response<Body> {
        let id = self.exchange.id();
        tracing::error!(
            request_id = id,
            path = self.path.path(),
            "a request panicked; please report it"
        );
        let fault = Fault::new(
            FaultKind::Internal,
            "internal",
            format!("the server failed; its log has more under request id {id}"),
        );
        refuse(&fault, self.path.path(), self.problem_json, &self.exchange)
    }
}
