//! The only place that turns a fault into bytes, in the protocol that its caller speaks.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::errors::{self, ErrorContext, EventContext};
use serin_wire::oip_grpc;
use tonic::Status;

use crate::context::{Dialect, RequestContext};
use crate::runtime::memory_budget::Reservation;

/// Marks a document that is sent uncompressed to callers that accept that: Triton's asyncio client
/// accepts codings on every request and decodes them for inference alone.
#[derive(Clone, Copy)]
pub(super) struct PlainIfTaken;

/// The answer to a refused or failed request.
pub(super) fn refuse(fault: &Fault, context: &RequestContext) -> Response<Body> {
    match context.dialect {
        Dialect::Grpc { .. } => status(fault, context).into_http(),
        Dialect::OipRest | Dialect::OpenAi | Dialect::KServeV1 => over_http(fault, context),
    }
}

fn over_http(fault: &Fault, context: &RequestContext) -> Response<Body> {
    let shown = ErrorContext {
        request_id: context.id(),
        path: context.path(),
        problem_json: context.wants_problem_json(),
    };
    let mut response = errors::response(fault, shown).map(Body::from);
    // The rest of the body will not be read.
    if matches!(fault.kind, FaultKind::TooLarge | FaultKind::SlowBody) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// The status of a refused or failed gRPC call.
pub(super) fn status(fault: &Fault, context: &RequestContext) -> Status {
    let mut status = oip_grpc::status(fault);
    if let Ok(id) = context.id().parse() {
        let metadata = status.metadata_mut();
        metadata.insert(serin_wire::request_id::HEADER, id);
    }
    status
}

/// A fault as one answer of a stream that has begun, on one line: `id` is that of the request at
/// fault where it has one, `number` its position in the stream, from 1.
pub(super) fn event(
    fault: &Fault,
    context: &RequestContext,
    id: Option<&str>,
    number: Option<u64>,
) -> Vec<u8> {
    let shown = EventContext {
        request_id: context.id(),
        id,
        line: number,
    };
    errors::event(fault, shown)
}

/// A defect of the server; the log has the details.
pub(super) fn defect(context: &RequestContext) -> Fault {
    Fault::new(
        FaultKind::Internal,
        "internal",
        format!(
            "the server failed; its log has more under request id {}",
            context.id()
        ),
    )
}

/// A small document as JSON.
pub(super) fn document(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    // Documents are structs of strings and numbers: serialising them cannot fail.
    let body = serde_json::to_vec(document).unwrap_or_default();
    let mut response = json(Bytes::from(body));
    *response.status_mut() = status;
    response.extensions_mut().insert(PlainIfTaken);
    response
}

/// An answer that is JSON, and its memory.
pub(super) fn held_json(body: Bytes, reservation: Reservation) -> Response<Body> {
    let mut response = json(body);
    reservation.keep(response.extensions_mut());
    response
}

/// An answer that is JSON.
pub(super) fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;

    use super::*;

    fn refused(path: &str) -> Response<Body> {
        let request = Request::builder().uri(path).header("x-request-id", "r-1");
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        let context = RequestContext::begin(&request.body(()).unwrap(), peer, None);
        let fault = Fault::new(FaultKind::TooLarge, "payload_too_large", "too large");
        refuse(&fault, &context)
    }

    #[test]
    fn a_refusal_takes_the_form_of_its_callers_protocol() {
        let rest = refused("/v2/models/m/infer");
        assert_eq!(
            (rest.status(), &rest.headers()[CONNECTION]),
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                &HeaderValue::from_static("close")
            )
        );
        let grpc = refused("/inference.GRPCInferenceService/ModelInfer");
        assert_eq!(grpc.status(), 200);
        assert_eq!(grpc.headers()["grpc-status"], "8");
        assert_eq!(grpc.headers()["x-request-id"], "r-1");
        assert_eq!(grpc.headers()[CONTENT_TYPE], "application/grpc");
    }
}
