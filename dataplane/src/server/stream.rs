//! `…/infer_stream`: one request whose answer is events, or requests in and answers out, over HTTP or
//! over a WebSocket. `docs/streams.md` describes it for users.

mod begin;
mod events;
mod lines;
mod options;
pub(super) mod ordered;
pub(super) mod parts;
mod request;
mod rows;
mod single;
mod websocket;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, post};
use http::Response;

use self::begin::{INFER_STREAM, begin};
use self::options::StreamOptions;
use self::request::StreamRequests;
use super::http::counted::refuse_on;
use super::path::model_of;
use super::respond::refuse;
use super::state::ServerState;
use crate::context::RequestContext;
use crate::pipeline::Serve;

/// The paths of streams.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<ServerState<S>>>); 2] {
    let methods = || post(stream::<S>).get(websocket::upgrade::<S>);
    [
        (INFER_STREAM, methods()),
        (
            "/v2/models/{name}/versions/{version}/infer_stream",
            methods(),
        ),
    ]
}

async fn stream<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse_on(&state, INFER_STREAM, &fault, request),
    };
    let (parts, body) = request.into_parts();
    let context = RequestContext::of(&parts.extensions);
    let record = begin(&state, "rest", &context, &model);
    let options = StreamOptions::of(&parts.headers, &context)
        .and_then(|options| state.service.model(&model).map(|_| options));
    let options = match options {
        Ok(options) => options,
        Err(fault) => {
            let _settled = record.failed(&fault);
            return refuse(&fault, &context);
        }
    };
    let requests = Arc::new(StreamRequests {
        state,
        context,
        headers: parts.headers,
        model,
        budget: options.budget,
    });
    if options.rows {
        rows::respond(requests, options.framing, record, body)
    } else {
        single::respond(requests, options.framing, record, body).await
    }
}
