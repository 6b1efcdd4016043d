//! The paths of the HTTP port.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use serin_core::fault::{Fault, FaultKind};
use serin_wire::oip_rest::metadata;

use super::counted::{document_on, refuse_counted, refuse_on};
use super::{control, docs, health, infer, models, openai, settings};
use crate::context::RequestContext;
use crate::pipeline::Serve;
use crate::server::path::shown;
use crate::server::state::ServerState;
use crate::server::stream;

/// Every path of the HTTP port; each also answers with one slash at its end.
pub(in crate::server) fn router<S: Serve>(state: Arc<ServerState<S>>) -> Router {
    let root = Router::new().route("/", get(health::root::<S>));
    let router = table().into_iter().fold(root, both);
    let router = openai::table()
        .into_iter()
        .fold(router, |router, (path, methods)| {
            // The rest of a path includes its slash.
            if path.ends_with(openai::ID) {
                router.route(&path, methods)
            } else {
                both(router, (&path, methods))
            }
        });
    with_defaults(router, state)
}

/// The paths except `/`, which has no form without a slash. The description of each is in
/// [`openapi`](serin_wire::openapi).
pub(in crate::server) fn table<S: Serve>() -> Vec<(&'static str, MethodRouter<Arc<ServerState<S>>>)>
{
    let live = || get(health::live::<S>);
    let ready = || get(health::ready::<S>);
    let routes = [
        ("/v2", get(server::<S>)),
        ("/v2/health/live", live()),
        ("/v2/health/ready", ready()),
        ("/v2/models", get(models::list::<S>)),
        ("/v2/models/{name}", get(models::metadata::<S>)),
        ("/v2/models/{name}/ready", get(models::ready::<S>)),
        ("/v2/models/{name}/infer", post(infer::infer::<S>)),
        (
            "/v2/models/{name}/versions/{version}",
            get(models::metadata::<S>),
        ),
        (
            "/v2/models/{name}/versions/{version}/ready",
            get(models::ready::<S>),
        ),
        (
            "/v2/models/{name}/versions/{version}/infer",
            post(infer::infer::<S>),
        ),
        ("/metrics", get(metrics::<S>)),
        ("/healthz", live()),
        ("/health", live()),
        ("/ping", live()),
        ("/readyz", ready()),
    ];
    routes
        .into_iter()
        .chain(docs::routes())
        .chain(control::routes())
        .chain(settings::routes())
        .chain(stream::routes())
        .collect()
}

/// A path with and without a slash at its end.
pub(in crate::server) fn both<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    (path, methods): (&str, MethodRouter<S>),
) -> Router<S> {
    router
        .route(&format!("{path}/"), methods.clone())
        .route(path, methods)
}

/// Adds the answers for unknown paths and for methods that a path does not have.
pub(in crate::server) fn with_defaults<S: Serve>(
    router: Router<Arc<ServerState<S>>>,
    state: Arc<ServerState<S>>,
) -> Router {
    router
        .method_not_allowed_fallback(other_method::<S>)
        .fallback(unknown_path::<S>)
        .with_state(state)
}

async fn unknown_path<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let context = RequestContext::of(&parts.extensions);
    let fault = if context.dialect.is_grpc() {
        let message = "no such service or method";
        Fault::new(FaultKind::NotImplemented, "not_implemented", message)
    } else {
        let message = format!("no such path: {}", shown(context.path()));
        Fault::new(FaultKind::NotFound, "not_found", message)
    };
    refuse_counted(&state, "_unknown", &fault, &context)
}

/// OPTIONS on a known path, or a method it does not have. axum adds `Allow`.
async fn other_method<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        state.metrics.http_request("_options", 204);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let fault = Fault::new(
        FaultKind::MethodNotAllowed,
        "method_not_allowed",
        format!(
            "{} is not offered for {}; see the Allow header",
            shown(request.method().as_str()),
            shown(request.uri().path())
        ),
    );
    let response = refuse_on(&state, "_other_method", &fault, request);
    debug_assert!(!response.headers().contains_key(ALLOW));
    response
}

async fn server<S: Serve>(State(state): State<Arc<ServerState<S>>>) -> Response<Body> {
    let server = metadata::server(state.allows_repository_control());
    document_on(&state, "/v2", StatusCode::OK, &server)
}

/// `GET /metrics`, on both ports: gateways scrape the one that serves.
pub(in crate::server) async fn metrics<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let (content_type, text) = state.exposition.render(accept).await;
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
