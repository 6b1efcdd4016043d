//! A request over HTTP with one answer: its body is read, the driver answers it, and its
//! record is settled before its answer is sent.

use std::pin::pin;

use axum::body::Body;
use axum::extract::Request;
use http::Response;
use http_body::Body as _;
use serin_core::fault::Fault;
use serin_core::types::ModelRef;

use super::body;
use crate::context::RequestContext;
use crate::pipeline::{Infer, WhenBusy};
use crate::server::recording::{Labels, Recording};
use crate::server::respond::refuse;
use crate::server::state::ServerState;
use crate::server::unary::{Arrival, UnaryProtocol, drive};

/// Answers a request by `protocol`. `model` is the one that its path names, empty where its body does.
pub(in crate::server) async fn answer<P, S>(
    state: &ServerState<S>,
    protocol: &P,
    labels: Labels,
    model: &ModelRef,
    request: Request,
) -> Response<Body>
where
    P: UnaryProtocol<Answer = Response<Body>>,
    S: Infer,
{
    let (parts, body) = request.into_parts();
    let context = RequestContext::of(&parts.extensions);
    let mut recording = Recording::begin(&state.metrics, labels, &context, model);
    let reservation = context.hold(&state.resources.memory);
    let read = pin!(body::read(
        body,
        &parts.headers,
        &state.resources,
        reservation,
    ));
    let arrival = Arrival {
        context: &context,
        headers: &parts.headers,
        begun: context.received,
        deadline: context.deadline(state.resources.limits.request_timeout),
        when_busy: WhenBusy::Refuse,
        read,
    };
    let outcome = drive(state, protocol, arrival, &mut recording).await;
    settle(recording, outcome, &context)
}

/// Settles the record, then returns the answer.
fn settle(
    recording: Recording<'_>,
    outcome: Result<Response<Body>, Fault>,
    context: &RequestContext,
) -> Response<Body> {
    let Recording {
        record,
        request_bytes,
    } = recording;
    match outcome {
        Ok(response) => {
            let bytes = response.body().size_hint().exact().unwrap_or(0);
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            let _settled = record.succeeded(request_bytes, bytes);
            response
        }
        Err(fault) => {
            let _settled = record.failed(&fault);
            refuse(&fault, context)
        }
    }
}
