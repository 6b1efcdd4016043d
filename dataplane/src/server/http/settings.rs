//! Settings of log and traces: shown on every port, changed on the admin port alone, because the
//! other ports do not authenticate callers.

mod documents;
pub(in crate::server) mod values;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get};
use http::{Response, StatusCode};

use self::documents::{log_change, log_document, trace_change, trace_document};
use self::values::{known_model, not_by_model};
use super::control_request::ControlRequest;
use super::counted::{answer_on, document_on, refuse_on};
use crate::pipeline::Serve;
use crate::server::path::model_of;
use crate::server::state::ServerState;
use crate::telemetry::logging;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::control::settings_are_for_the_admin_port;

const LOGGING: &str = "/v2/logging";
const TRACE: &str = "/v2/trace/setting";
const MODEL_TRACE: &str = "/v2/models/{name}/trace/setting";

/// The paths on the port of callers.
pub(in crate::server) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<ServerState<S>>>); 3]
{
    [
        (
            LOGGING,
            get(log_settings::<S>).post(log_is_for_the_admin_port::<S>),
        ),
        (
            TRACE,
            get(trace_settings::<S>).post(traces_are_for_the_admin_port::<S>),
        ),
        (
            MODEL_TRACE,
            get(trace_settings::<S>).post(traces_are_for_the_admin_port::<S>),
        ),
    ]
}

/// The paths on the admin port.
pub(in crate::server) fn admin_routes<S: Serve>()
-> [(&'static str, MethodRouter<Arc<ServerState<S>>>); 3] {
    [
        (LOGGING, get(log_settings::<S>).post(change_log::<S>)),
        (TRACE, get(trace_settings::<S>).post(change_traces::<S>)),
        (
            MODEL_TRACE,
            get(trace_settings::<S>).post(change_traces::<S>),
        ),
    ]
}

async fn log_settings<S: Serve>(State(state): State<Arc<ServerState<S>>>) -> Response<Body> {
    document_on(&state, LOGGING, StatusCode::OK, &log_document())
}

async fn log_is_for_the_admin_port<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let fault = settings_are_for_the_admin_port("the log", LOGGING);
    refuse_on(&state, LOGGING, &fault, request)
}

async fn change_log<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (control, body) = ControlRequest::of(request);
    let changed = async {
        let mut body = control.read(&state, body).await?;
        let (now, start) = (logging::settings(), logging::start());
        let depth = state.resources.limits.json_depth;
        let wanted = body
            .reservation
            .read(|room| log_change(&body.bytes, depth, room, &now, &start))?;
        if wanted != now {
            // Before the change, which may disable it.
            tracing::warn!(settings = ?wanted, "the settings of the log are changed");
            logging::change(wanted).map_err(|error| {
                let message = format!("the settings of the log cannot be changed: {error}");
                Fault::new(FaultKind::NotImplemented, "not_implemented", message)
            })?;
        }
        Ok(log_document())
    };
    let changed = changed.await;
    control.answer(&state, LOGGING, &changed)
}

/// The model that a path under `/v2/models/` names, if it is one.
fn configured<S: Serve>(state: &ServerState<S>, path: &str) -> Result<(), Fault> {
    if !path.starts_with("/v2/models/") {
        return Ok(());
    }
    known_model(&state.service.models(), &model_of(path)?.name)
}

fn trace_route(path: &str) -> &'static str {
    if path.starts_with("/v2/models/") {
        MODEL_TRACE
    } else {
        TRACE
    }
}

async fn trace_settings<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let route = trace_route(request.uri().path());
    let shown = configured(&state, request.uri().path())
        .map(|()| trace_document(state.tracer.current().as_ref()));
    answer_on(&state, route, &shown, request)
}

async fn traces_are_for_the_admin_port<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let route = trace_route(request.uri().path());
    let fault = configured(&state, request.uri().path())
        .err()
        .unwrap_or_else(|| settings_are_for_the_admin_port("traces", TRACE));
    refuse_on(&state, route, &fault, request)
}

async fn change_traces<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (control, body) = ControlRequest::of(request);
    let path = control.parts.uri.path();
    let changed = async {
        configured(&state, path)?;
        if trace_route(path) == MODEL_TRACE {
            return Err(not_by_model());
        }
        let mut body = control.read(&state, body).await?;
        let depth = state.resources.limits.json_depth;
        let tracer = state.tracer.current();
        body.reservation
            .read(|room| trace_change(&body.bytes, depth, room, tracer.as_ref()))?;
        Ok(trace_document(state.tracer.current().as_ref()))
    };
    let changed = changed.await;
    control.answer(&state, trace_route(path), &changed)
}
