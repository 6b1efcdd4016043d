//! Probes of a data-plane container, all on its admin port.

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serin_crds::ports;

/// Time for fetching and loading a model before the container is restarted, in seconds.
pub const LOAD_TIMEOUT_SECONDS: i32 = 600;

/// The startup probe. It runs every second, so that a loaded model receives requests at once.
pub fn startup() -> Probe {
    probe("/readyz", 1, LOAD_TIMEOUT_SECONDS)
}

/// The readiness probe. It takes a pod that cannot answer out of its Service within 6 s.
pub fn readiness() -> Probe {
    probe("/readyz", 2, 3)
}

/// The liveness probe. It restarts a process that does not answer for a minute. It does not depend
/// on the model: a restart helps neither a busy nor a failing one.
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
