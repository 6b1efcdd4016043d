//! `GET /v1/models` and `GET /v1/models/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};

use super::counted::{answer_on, document_on};
use crate::pipeline::Serve;
use crate::server::path::decoded;
use crate::server::state::ServerState;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::openai::models::{ModelList, ModelObject};

/// A model by its id, which may hold slashes: the rest of the path, with or without a slash at its
/// end.
pub(super) const MODEL_ROUTE: &str = "/v1/models/{id}";

/// Every model once, whatever versions it has: this interface knows none.
pub(super) async fn list<S: Serve>(State(state): State<Arc<ServerState<S>>>) -> Response<Body> {
    let mut names: Vec<String> = Vec::new();
    for model in state.service.models() {
        if !names.contains(&model.name) {
            names.push(model.name);
        }
    }
    let objects = names
        .into_iter()
        .filter_map(|name| object(&state, name).ok())
        .collect();
    document_on(
        &state,
        "/v1/models",
        StatusCode::OK,
        &ModelList::new(objects),
    )
}

pub(super) async fn retrieve<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let model = id_of(request.uri().path()).and_then(|id| object(&state, id));
    answer_on(&state, MODEL_ROUTE, &model, request)
}

fn object<S: Serve>(state: &ServerState<S>, name: String) -> Result<ModelObject, Fault> {
    let model = ModelRef {
        name,
        version: None,
    };
    let (ready, max_model_len) = match state.service.describe(&model) {
        Ok(described) => (true, described.embedding.map(|texts| texts.max_tokens)),
        Err(fault) if fault.kind == FaultKind::NotReady => (false, None),
        Err(fault) => return Err(fault),
    };
    Ok(ModelObject::new(
        model.name,
        state.started,
        ready,
        max_model_len,
    ))
}

/// The id at the end of a path below `/models/`, slashes and escaped slashes alike.
pub(super) fn id_of(path: &str) -> Result<String, Fault> {
    let (_, id) = path.split_once("/models/").unwrap_or_default();
    decoded(id.strip_suffix('/').unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_slashes_escaped_or_not() {
        for path in [
            "/v1/models/team/model",
            "/v1/models/team%2Fmodel",
            "/openai/v1/models/team/model/",
        ] {
            assert_eq!(id_of(path).unwrap(), "team/model");
        }
        assert_eq!(id_of("/v1/models/a/models/b").unwrap(), "a/models/b");
        assert_eq!(id_of("/v1/models/%zz").unwrap_err().code, "invalid_path");
    }
}
