//! The paths of OpenAI's interface and, beside its models, of KServe's first protocol.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::header::ALLOW;
use http::{HeaderValue, Response};

use super::counted::refuse_on;
use super::openai_models::{MODEL_ROUTE, id_of};
use super::{embeddings, openai_models as models, predict};
use crate::pipeline::Serve;
use crate::server::state::ServerState;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// The prefixes of the interface: OpenAI's own, and KServe's.
const PREFIXES: [&str; 2] = ["/v1", "/openai/v1"];

/// The rest of a path.
pub(in crate::server) const ID: &str = "{*id}";

/// The paths. [`openapi`](serin_wire::openapi) describes each of them.
pub(in crate::server) fn table<S: Serve>() -> Vec<(String, MethodRouter<Arc<ServerState<S>>>)> {
    let of_prefix = |prefix| {
        [
            (format!("{prefix}/models"), get(models::list::<S>)),
            (format!("{prefix}/embeddings"), post(embeddings::embed::<S>)),
            (
                format!("{prefix}/models/{ID}"),
                get(models::retrieve::<S>).post(act::<S>),
            ),
        ]
    };
    PREFIXES.into_iter().flat_map(of_prefix).collect()
}

/// `POST /v1/models/{name}:predict` and `:explain`.
async fn act<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let id = match id_of(request.uri().path()) {
        Ok(id) => id,
        Err(fault) => return refuse_on(&state, MODEL_ROUTE, &fault, request),
    };
    match id.rsplit_once(':') {
        Some((name, "predict")) => {
            let model = ModelRef {
                name: name.to_owned(),
                version: None,
            };
            predict::predict(&state, request, model).await
        }
        Some((_, "explain")) => {
            let fault = Fault::new(
                FaultKind::NotImplemented,
                "not_implemented",
                "explanations are not offered; POST to :predict",
            );
            refuse_on(&state, "/v1/models/{name}:explain", &fault, request)
        }
        _ => {
            let fault = Fault::new(
                FaultKind::MethodNotAllowed,
                "method_not_allowed",
                "a model is read with GET; POST is for its path with :predict",
            );
            let mut response = refuse_on(&state, MODEL_ROUTE, &fault, request);
            let allow = HeaderValue::from_static("GET,HEAD");
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }
}
