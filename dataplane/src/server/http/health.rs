//! Whether the process lives, and whether it can answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};

use super::counted::document_on;
use crate::pipeline::{ModelState, Serve};
use crate::runtime::lifecycle::Phase;
use crate::server::state::ServerState;
use serin_wire::oip_rest::metadata::Health;

/// Why the process is not ready; `None` when it is.
pub(in crate::server) fn unready(phase: Phase, models: &[ModelState]) -> Option<String> {
    if phase >= Phase::Draining {
        return Some("the server is stopping".to_owned());
    }
    if let Some(model) = models.iter().find(|model| model.blocks_readiness()) {
        let reason = model.reason.as_deref().unwrap_or("loading");
        return Some(format!(
            "model '{}' version '{}': {reason}",
            model.name, model.version
        ));
    }
    (phase < Phase::Ready).then(|| format!("the server is {}", phase.as_str().to_lowercase()))
}

/// `GET /v2/health/live` and its aliases: the process answers, so it lives.
pub(in crate::server) async fn live<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
) -> Response<Body> {
    alive(&state, None)
}

/// `GET /`: the same, in the form of KServe's first protocol.
pub(in crate::server) async fn root<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
) -> Response<Body> {
    alive(&state, Some("alive"))
}

fn alive<S>(state: &ServerState<S>, status: Option<&'static str>) -> Response<Body> {
    let health = Health {
        ready: None,
        live: true,
        status,
        error: None,
    };
    document_on(state, "/v2/health/live", StatusCode::OK, &health)
}

/// `GET /v2/health/ready` and its aliases.
pub(in crate::server) async fn ready<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
) -> Response<Body> {
    let error = unready(state.lifecycle.phase(), &state.service.models());
    let status = match error {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let health = Health {
        ready: Some(error.is_none()),
        live: true,
        status: None,
        error,
    };
    document_on(&state, "/v2/health/ready", status, &health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_core::types::Availability;

    fn model(ready: bool, reason: Option<&str>) -> ModelState {
        ModelState {
            name: "m".into(),
            version: "1".into(),
            availability: if ready {
                Availability::Ready
            } else {
                Availability::Loading
            },
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn the_first_model_that_is_not_ready_is_named() {
        let models = [model(true, None), model(false, Some("fetching, 10 %"))];
        let reason = unready(Phase::Ready, &models).unwrap();
        assert_eq!(reason, "model 'm' version '1': fetching, 10 %");
        assert_eq!(unready(Phase::Ready, &models[..1]), None);
    }

    #[test]
    fn a_model_that_somebody_unloaded_is_no_outage() {
        for availability in [
            Availability::Unloading,
            Availability::Unloaded,
            Availability::Reloading,
        ] {
            let state = ModelState {
                availability,
                ..model(false, Some("unloaded"))
            };
            assert_eq!(unready(Phase::Ready, &[state]), None, "{availability:?}");
        }
    }

    #[test]
    fn a_process_that_stops_or_starts_is_not_ready() {
        assert!(unready(Phase::Draining, &[model(true, None)]).is_some());
        assert!(unready(Phase::Warming, &[model(true, None)]).is_some());
    }
}
