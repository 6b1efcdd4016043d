//! The admin port: for the kubelet, the operator and scrapers, never for callers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Response, StatusCode};
use serin_crds::contract::status_report::{MemoryReport, ModelReport, StatusReport};

use super::http::counted::document_on;
use super::http::{health, routes, settings};
use super::state::ServerState;
use crate::pipeline::Serve;
use crate::runtime::Resources;

/// Every path of the admin port.
pub(super) fn router<S: Serve>(state: Arc<ServerState<S>>) -> Router {
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
    routes::with_defaults(router, state)
}

/// The bounds of the process's memory, and what requests take of theirs.
fn memory(resources: &Resources) -> Option<MemoryReport> {
    let plan = resources.plan?;
    Some(MemoryReport {
        limit: plan.limit,
        process: plan.process,
        models: plan.models,
        requests: plan.requests,
        requests_used: resources.memory.used() as u64,
        one_request: plan.one_request,
        body: plan.body,
        connections: plan.connections,
        spare: plan.spare,
    })
}

/// `GET /statusz`: the operator reads here why a pod is not ready.
async fn status<S: Serve>(State(state): State<Arc<ServerState<S>>>) -> Response<Body> {
    let phase = state.lifecycle.phase();
    let models = state.service.models();
    let report = StatusReport {
        phase,
        message: health::unready(phase, &models).unwrap_or_default(),
        models: models
            .into_iter()
            .map(|model| ModelReport {
                ready: model.ready(),
                name: model.name,
                version: model.version,
                reason: model.reason,
            })
            .collect(),
        policy: Some(state.policy.report()),
        memory: memory(&state.resources),
    };
    document_on(&state, "/statusz", StatusCode::OK, &report)
}
