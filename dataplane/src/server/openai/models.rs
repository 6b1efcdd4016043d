//! `GET /v1/models` and `GET /v1/models/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};

use super::{MODEL_ROUTE, id_of};
use crate::pipeline::Serve;
use crate::server::app::App;
use crate::server::routes::refuse;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::openai::models::{ModelList, ModelObject};

/// Every model once, whatever versions it has: this interface knows none.
pub(super) async fn list<S: Serve>(State(app): State<Arc<App<S>>>) -> Response<Body> {
    let mut names: Vec<String> = Vec::new();
    for model in app.service.models() {
        if !names.contains(&model.name) {
            names.push(model.name);
        }
    }
    let objects = names
        .into_iter()
        .filter_map(|name| object(&app, name).ok())
        .collect();
    app.json("/v1/models", StatusCode::OK, &ModelList::new(objects))
}

pub(super) async fn retrieve<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    match id_of(request.uri().path()).and_then(|id| object(&app, id)) {
        Ok(model) => app.json(MODEL_ROUTE, StatusCode::OK, &model),
        Err(fault) => refuse(&app, MODEL_ROUTE, &fault, request),
    }
}

fn object<S: Serve>(app: &App<S>, name: String) -> Result<ModelObject, Fault> {
    let model = ModelRef {
        name,
        version: None,
    };
    let (ready, max_model_len) = match app.service.describe(&model) {
        Ok(described) => (true, described.embedding.map(|texts| texts.max_tokens)),
        Err(fault) if fault.kind == FaultKind::NotReady => (false, None),
        Err(fault) => return Err(fault),
    };
    Ok(ModelObject::new(
        model.name,
        app.started,
        ready,
        max_model_len,
    ))
}
