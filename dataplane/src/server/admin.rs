//! The admin port: for the kubelet, the operator and scrapers, never for callers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Response, StatusCode};
use serde::Serialize;

use super::app::App;
use super::{health, routes, settings};
use crate::pipeline::Serve;

/// Every path of the admin port.
pub(super) fn router<S: Serve>(app: Arc<App<S>>) -> Router {
    let paths = [
        ("/livez", get(health::live::<S>)),
        ("/readyz", get(health::ready::<S>)),
        ("/statusz", get(status::<S>)),
        ("/metrics", get(routes::metrics::<S>)),
    ];
    let router = paths
        .into_iter()
        .chain(settings::admin_routes())
        .fold(Router::new(), routes::both);
    routes::with_defaults(router, app)
}

/// `GET /statusz`: the operator reads here why a pod is not ready.
#[derive(Serialize)]
struct Status {
    phase: &'static str,
    /// Why it is not ready; empty when it is.
    message: String,
    models: Vec<ModelStatus>,
}

#[derive(Serialize)]
struct ModelStatus {
    name: String,
    version: String,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn status<S: Serve>(State(app): State<Arc<App<S>>>) -> Response<Body> {
    let phase = app.lifecycle.phase();
    let models = app.service.models();
    let status = Status {
        phase: phase.as_str(),
        message: health::unready(phase, &models).unwrap_or_default(),
        models: models
            .into_iter()
            .map(|model| ModelStatus {
                ready: model.ready(),
                name: model.name,
                version: model.version,
                reason: model.reason,
            })
            .collect(),
    };
    app.json("/statusz", StatusCode::OK, &status)
}
