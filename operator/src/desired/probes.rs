//! Probes of a data-plane container, all on its admin port.

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serin_crds::ports;

/// Seconds a model may take to be fetched and loaded before its container is restarted.
pub const LOAD_TIMEOUT_SECONDS: i32 = 600;

/// Asks every second, so that a loaded model answers callers at once.
pub fn startup() -> Probe {
    probe("/readyz", 1, LOAD_TIMEOUT_SECONDS)
}

/// Takes a pod that cannot answer out of its Service within 6 s.
pub fn readiness() -> Probe {
    probe("/readyz", 2, 3)
}

/// Restarts a process that does not answer at all for a minute. It says nothing of the model: a
/// busy or failing model is not cured by a restart.
pub fn liveness() -> Probe {
    Probe {
        timeout_seconds: Some(5),
        ..probe("/livez", 10, 6)
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(ports::ADMIN)),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
