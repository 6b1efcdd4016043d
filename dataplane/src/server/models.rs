//! What models there are and what they take.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};

use super::app::App;
use super::routes::{model_of, refuse};
use crate::pipeline::Serve;
use serin_core::fault::FaultKind;
use serin_wire::oip_rest::metadata::{ModelList, ModelMetadata, ModelReady};

/// `GET /v2/models`.
pub(super) async fn list<S: Serve>(State(app): State<Arc<App<S>>>) -> Response<Body> {
    let models = ModelList::new(app.service.models());
    app.json("/v2/models", StatusCode::OK, &models)
}

/// `GET /v2/models/{name}[/versions/{version}]`.
pub(super) async fn metadata<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}";
    let described = model_of(request.uri().path()).and_then(|model| app.service.describe(&model));
    match described {
        Ok(model) => app.json(ROUTE, StatusCode::OK, &ModelMetadata::new(&model)),
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

/// `GET /v2/models/{name}[/versions/{version}]/ready`.
pub(super) async fn ready<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/ready";
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse(&app, ROUTE, &fault, request),
    };
    let (status, error) = match app.service.describe(&model) {
        Ok(_) => (StatusCode::OK, None),
        Err(fault) if fault.kind == FaultKind::NotReady => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(fault.message))
        }
        Err(fault) => return refuse(&app, ROUTE, &fault, request),
    };
    let ready = ModelReady {
        name: &model.name,
        ready: error.is_none(),
        error,
    };
    app.json(ROUTE, status, &ready)
}
