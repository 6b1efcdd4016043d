//! One request and its answer on any route: its context, panics, and the headers that every answer
//! carries.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::CallerId;
use serin_wire::content_coding::{self, Accepted};
use serin_wire::request_id;
use tower::Service;

use super::in_flight_body::InFlightBody;
use super::port::{Port, Stage};
use super::sniff::Spoken;
use super::state::{ConnectionState, InFlight};
use crate::context::{Dialect, RequestContext};
use crate::runtime::Resources;
use crate::runtime::memory_budget::{MemoryBudget, ResponseReservation, SMALL_ANSWER, Share};
use crate::runtime::memory_plan::STREAM;
use crate::server::grpc::body::paced;
use crate::server::grpc::coding::{deflated, inflated};
use crate::server::http::compress::compress;
use crate::server::respond::{defect, refuse};
use crate::telemetry::Trace;
use crate::telemetry::traces::TRACE_PARENT;

/// A request whose header block has come.
pub(super) struct Arrival {
    peer: SocketAddr,
    caller: CallerId,
    in_flight: InFlight,
    /// The memory of a connection of several requests.
    share: Option<Arc<Share>>,
    /// Why there is no room for another one.
    refused: Option<Fault>,
}

impl Arrival {
    /// A request of this connection. A stream of HTTP/2 takes memory of its own, with its header
    /// block: a few bytes name fields of many. The request of an HTTP/1 connection is within the
    /// connection's, but for a long header block.
    pub(super) fn of<B>(
        request: &Request<B>,
        (state, spoken): (&Arc<ConnectionState>, Spoken),
        share: Option<Arc<Share>>,
        memory: &Arc<MemoryBudget>,
        (peer, caller): (SocketAddr, CallerId),
    ) -> Self {
        let head = head_bytes(request);
        let (mut held, bytes) = match &share {
            Some(share) => (Some(share.hold()), STREAM + head),
            None => ((head > USUAL_HEAD).then(|| memory.hold()), head),
        };
        let room = held.as_mut().map_or(Ok(()), |held| held.grow(bytes));
        Self {
            peer,
            caller,
            in_flight: InFlight::new(state, spoken, held),
            share,
            refused: room.err(),
        }
    }
}

/// Bytes of a header block that are within what a connection takes.
const USUAL_HEAD: usize = 8 << 10;

/// What a header block takes: its texts, and a place in a map for each field.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const FIELD: usize = 128;
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    let uri = request.uri();
    uri.path().len() + uri.query().map_or(0, str::len) + fields.sum::<usize>()
}

/// Answers one request by `router`.
pub(super) async fn serve(
    port: Arc<Port>,
    mut router: Router,
    request: Request<Incoming>,
    arrival: Arrival,
) -> Response<InFlightBody> {
    let Arrival {
        peer,
        caller,
        in_flight,
        share,
        refused,
    } = arrival;
    let context = RequestContext::begin(&request, peer, port.tracer.current().as_ref());
    let context = context.on_connection_of(caller, in_flight.is_multiplexed());
    let context = Arc::new(context.sharing(share));
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let accepted = match is_head {
        false => content_coding::accepted(request.headers()),
        // A body that is not sent is not compressed.
        true => Accepted::Plain,
    };
    let accepts = refused
        .map_or(Ok(()), Err)
        .and_then(|()| uri_fits(request.uri(), &port.resources.limits))
        .and_then(|()| port.guard.check(&request, peer));
    let mut response = match accepts {
        Err(fault) => {
            let mut refusal = refuse(&fault, &context);
            // Nothing of the body is read, and where it ends may be what is in doubt.
            if version < Version::HTTP_2 {
                let close = HeaderValue::from_static("close");
                refusal.headers_mut().insert(CONNECTION, close);
            }
            refusal
        }
        Ok(()) => {
            let resources = &port.resources;
            let (mut request, mut messages) = (request.map(Body::new), None);
            if let Dialect::Grpc { stream } = context.dialect {
                request = paced(request, &context, resources);
                let reservation = context.hold(&resources.memory);
                (request, messages) = inflated(request, stream, reservation, resources);
            }
            request.extensions_mut().insert(Arc::clone(&context));
            let answer = async {
                let Ok(response) = router.call(request).await;
                let response = counted(response, &context, resources);
                match messages {
                    Some(coding) => deflated(response, coding, resources),
                    None => compress(response, accepted, resources).await,
                }
            };
            answered(pin!(answer), &context, &port).await
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        in_flight.upgraded();
    }
    if is_head {
        *response.body_mut() = Body::empty();
    }
    finish_header(&mut response, version, &context, &port);
    let kept = response.extensions_mut().remove();
    response.map(|body| InFlightBody::new(body, in_flight, kept))
}

/// The answer, if there is room for it: that of a document which no request was read for, too.
fn counted(
    mut response: Response<Body>,
    context: &RequestContext,
    resources: &Resources,
) -> Response<Body> {
    let extensions = response.extensions();
    if extensions.get::<ResponseReservation>().is_some() {
        return response;
    }
    // The size of a stream is unknown: its parts are counted as they are made.
    let size = response.body().size_hint().exact().unwrap_or(0);
    let mut held = resources.memory.hold();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size <= SMALL_ANSWER {
        return response;
    }
    match held.grow(size) {
        Ok(()) => {
            held.keep(response.extensions_mut());
            response
        }
        Err(fault) => refuse(&fault, context),
    }
}

/// The answer, within the request's trace. A panic does not end other requests of the connection;
/// state that it may leave inconsistent is dropped with its request.
async fn answered(
    answer: impl Future<Output = Response<Body>> + Unpin,
    context: &RequestContext,
    port: &Port,
) -> Response<Body> {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let answered = match context.trace.clone() {
        // Boxed, so that requests without a trace are no larger for it.
        Some(trace) => Box::pin(trace.scope(answer)).await,
        None => answer.await,
    };
    answered.unwrap_or_else(|_| {
        port.metrics.panics.inc();
        tracing::error!(
            request_id = context.id(),
            path = context.path(),
            "a request panicked; please report it"
        );
        refuse(&defect(context), context)
    })
}

fn uri_fits(uri: &http::Uri, limits: &Limits) -> Result<(), Fault> {
    let longest = limits.uri_bytes;
    let query = uri.query().map_or(0, str::len);
    if uri.path().len() <= longest && query <= longest {
        return Ok(());
    }
    let message = format!("the path or query is longer than {longest} bytes");
    Err(Fault::new(FaultKind::Malformed, "uri_too_long", message))
}

/// Adds what the header block of every answer has.
fn finish_header(
    response: &mut Response<Body>,
    version: Version,
    context: &RequestContext,
    port: &Port,
) {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers
        .entry(request_id::HEADER_NAME)
        .or_insert_with(|| context.id_header());
    if let Some(parent) = context.trace.as_ref().and_then(Trace::header)
        && let Ok(parent) = HeaderValue::try_from(parent)
    {
        headers.insert(TRACE_PARENT, parent);
    }
    if version >= Version::HTTP_2 {
        headers.remove(CONNECTION);
    } else if port.stage() != Stage::Open && !upgraded {
        // An upgraded connection closes by the rules of its protocol.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
