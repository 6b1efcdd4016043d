//! Settings of log and traces: shown on every port, changed on the admin port alone, as nobody can
//! tell callers apart on the others.

pub(super) mod documents;
pub(super) mod values;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get};
use http::{Response, StatusCode};

use super::app::App;
use super::control::Asked;
use super::routes::{model_of, refuse};
use crate::pipeline::Serve;
use crate::server::settings::documents::{log_change, log_document, trace_change, trace_document};
use crate::server::settings::values::{known_model, not_by_model};
use crate::telemetry::logging;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::control::settings_are_for_the_admin_port;

const LOGGING: &str = "/v2/logging";
const TRACE: &str = "/v2/trace/setting";
const MODEL_TRACE: &str = "/v2/models/{name}/trace/setting";

/// The paths on the port of callers.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<App<S>>>); 3] {
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
pub(super) fn admin_routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<App<S>>>); 3] {
    [
        (LOGGING, get(log_settings::<S>).post(change_log::<S>)),
        (TRACE, get(trace_settings::<S>).post(change_traces::<S>)),
        (
            MODEL_TRACE,
            get(trace_settings::<S>).post(change_traces::<S>),
        ),
    ]
}

async fn log_settings<S: Serve>(State(app): State<Arc<App<S>>>) -> Response<Body> {
    app.json(LOGGING, StatusCode::OK, &log_document())
}

async fn log_is_for_the_admin_port<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let fault = settings_are_for_the_admin_port("the log", LOGGING);
    refuse(&app, LOGGING, &fault, request)
}

async fn change_log<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let (asked, body) = Asked::of(request);
    let changed = async {
        let body = asked.read(&app, body).await?;
        let (now, start) = (logging::settings(), logging::start());
        let wanted = log_change(&body.bytes, app.limits.json_depth, &now, &start)?;
        if wanted != now {
            // Before, as the change may silence it.
            tracing::warn!(settings = ?wanted, "the settings of the log are changed");
            logging::change(wanted).map_err(|error| {
                let message = format!("the settings of the log cannot be changed: {error}");
                Fault::new(FaultKind::NotImplemented, "not_implemented", message)
            })?;
        }
        Ok(log_document())
    };
    let changed = changed.await;
    asked.answer(&app, LOGGING, &changed)
}

/// The model that a path under `/v2/models/` names, if it is one.
fn configured<S: Serve>(app: &App<S>, path: &str) -> Result<(), Fault> {
    if !path.starts_with("/v2/models/") {
        return Ok(());
    }
    known_model(&app.service.models(), &model_of(path)?.name)
}

fn trace_route(path: &str) -> &'static str {
    if path.starts_with("/v2/models/") {
        MODEL_TRACE
    } else {
        TRACE
    }
}

async fn trace_settings<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let route = trace_route(request.uri().path());
    match configured(&app, request.uri().path()) {
        Ok(()) => app.json(
            route,
            StatusCode::OK,
            &trace_document(app.tracer.current().as_ref()),
        ),
        Err(fault) => refuse(&app, route, &fault, request),
    }
}

async fn traces_are_for_the_admin_port<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let route = trace_route(request.uri().path());
    let fault = configured(&app, request.uri().path())
        .err()
        .unwrap_or_else(|| settings_are_for_the_admin_port("traces", TRACE));
    refuse(&app, route, &fault, request)
}

async fn change_traces<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let (asked, body) = Asked::of(request);
    let path = asked.parts.uri.path();
    let changed = async {
        configured(&app, path)?;
        if trace_route(path) == MODEL_TRACE {
            return Err(not_by_model());
        }
        let body = asked.read(&app, body).await?;
        trace_change(
            &body.bytes,
            app.limits.json_depth,
            app.tracer.current().as_ref(),
        )?;
        Ok(trace_document(app.tracer.current().as_ref()))
    };
    let changed = changed.await;
    asked.answer(&app, trace_route(path), &changed)
}
