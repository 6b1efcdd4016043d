//! The list of models and their metadata.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};

use super::counted::{answer_on, document_on, refuse_on};
use crate::pipeline::Serve;
use crate::server::path::model_of;
use crate::server::state::ServerState;
use serin_core::fault::FaultKind;
use serin_wire::oip_rest::metadata::{ModelList, ModelMetadata, ModelReady};

/// `GET /v2/models`.
pub(super) async fn list<S: Serve>(State(state): State<Arc<ServerState<S>>>) -> Response<Body> {
    let models = ModelList::new(state.service.models());
    document_on(&state, "/v2/models", StatusCode::OK, &models)
}

/// `GET /v2/models/{name}[/versions/{version}]`.
pub(super) async fn metadata<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}";
    let described = model_of(request.uri().path()).and_then(|model| state.service.describe(&model));
    let metadata = described.as_ref().map(ModelMetadata::new);
    answer_on(&state, ROUTE, &metadata, request)
}

/// `GET /v2/models/{name}[/versions/{version}]/ready`.
pub(super) async fn ready<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/ready";
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse_on(&state, ROUTE, &fault, request),
    };
    let (status, error) = match state.service.describe(&model) {
        Ok(_) => (StatusCode::OK, None),
        Err(fault) if fault.kind == FaultKind::NotReady => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(fault.message))
        }
        Err(fault) => return refuse_on(&state, ROUTE, &fault, request),
    };
    let ready = ModelReady {
        name: &model.name,
        ready: error.is_none(),
        error,
    };
    document_on(&state, ROUTE, status, &ready)
}
