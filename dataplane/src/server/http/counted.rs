//! Answers to requests that are no inference, counted by route.

use std::borrow::Borrow;

use axum::body::Body;
use axum::extract::Request;
use http::{Response, StatusCode};
use serde::Serialize;
use serin_core::fault::Fault;

use crate::context::RequestContext;
use crate::server::respond::{document, refuse};
use crate::server::state::ServerState;

/// A small document as JSON.
pub(in crate::server) fn document_on<S>(
    state: &ServerState<S>,
    route: &'static str,
    status: StatusCode,
    content: &impl Serialize,
) -> Response<Body> {
    state.metrics.http_request(route, status.as_u16());
    document(status, content)
}

/// A document, or the refusal of the request for it.
pub(in crate::server) fn answer_on<S>(
    state: &ServerState<S>,
    route: &'static str,
    outcome: &Result<impl Serialize, impl Borrow<Fault>>,
    request: Request,
) -> Response<Body> {
    match outcome {
        Ok(content) => document_on(state, route, StatusCode::OK, content),
        Err(fault) => refuse_on(state, route, fault.borrow(), request),
    }
}

/// A refusal.
pub(in crate::server) fn refuse_on<S>(
    state: &ServerState<S>,
    route: &'static str,
    fault: &Fault,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    refuse_counted(state, route, fault, &RequestContext::of(&parts.extensions))
}

/// A refusal of a request that has been split into parts.
pub(in crate::server) fn refuse_counted<S>(
    state: &ServerState<S>,
    route: &'static str,
    fault: &Fault,
    context: &RequestContext,
) -> Response<Body> {
    let response = refuse(fault, context);
    let status = response.status().as_u16();
    state.metrics.http_request(route, status);
    response
}
