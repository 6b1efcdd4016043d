//! The paths of the HTTP port.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use super::app::App;
use super::exchange::{Exchange, refusal};
use super::grpc_body::is_grpc;
use super::{control, docs, health, infer, models, openai, settings, stream};
use crate::pipeline::Serve;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::oip_rest::metadata;

/// Every path of the HTTP port; each also answers with one slash at its end.
pub(super) fn router<S: Serve>(app: Arc<App<S>>) -> Router {
    let router = openai::routes(Router::new().route("/", get(health::root::<S>)));
    with_defaults(table().into_iter().fold(router, both), app)
}

/// The paths but `/`, which has no slash to end with. What stands here is described in
/// [`openapi`](serin_wire::openapi) too.
pub(super) fn table<S: Serve>() -> Vec<(&'static str, MethodRouter<Arc<App<S>>>)> {
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
pub(super) fn both<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    (path, methods): (&str, MethodRouter<S>),
) -> Router<S> {
    router
        .route(&format!("{path}/"), methods.clone())
        .route(path, methods)
}

/// Adds the answers for unknown paths and for methods that a path does not have.
pub(super) fn with_defaults<S: Serve>(router: Router<Arc<App<S>>>, app: Arc<App<S>>) -> Router {
    router
        .method_not_allowed_fallback(other_method::<S>)
        .fallback(unknown_path::<S>)
        .with_state(app)
}

async fn unknown_path<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    // gRPC tells unknown methods by its own status, on a port that serves both as well.
    if is_grpc(&request) {
        app.metrics.http_request("_unknown", 200);
        return tonic::Status::unimplemented("no such service or method").into_http();
    }
    let fault = Fault::new(
        FaultKind::NotFound,
        "not_found",
        format!("no such path: {}", shown(request.uri().path())),
    );
    refuse(&app, "_unknown", &fault, request)
}

/// OPTIONS on a known path, or a method it does not have. axum adds `Allow`.
async fn other_method<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        app.metrics.http_request("_options", 204);
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
    let response = refuse(&app, "_other_method", &fault, request);
    debug_assert!(!response.headers().contains_key(ALLOW));
    response
}

/// The answer for a fault of a request that is no inference, counted under its route.
pub(super) fn refuse<S>(
    app: &App<S>,
    route: &'static str,
    fault: &Fault,
    request: Request,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let exchange = Exchange::of(&mut parts);
    app.metrics.http_request(route, fault.kind.http_status());
    refusal(fault, &parts, &exchange)
}

async fn server<S: Serve>(State(app): State<Arc<App<S>>>) -> Response<Body> {
    let server = metadata::server(app.service.allows_repository_control());
    app.json("/v2", StatusCode::OK, &server)
}

/// `GET /metrics`, on both ports: gateways scrape the one that serves.
pub(super) async fn metrics<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let (content_type, text) = app.exposition.render(accept).await;
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The model that a path under `/v2/models/` names; what follows it in the path does not matter.
///
/// # Errors
/// A percent-escape that is none, or that hides no UTF-8.
pub(super) fn model_of(path: &str) -> Result<ModelRef, Fault> {
    let mut segments = path.split('/').skip(3);
    let name = decoded(segments.next().unwrap_or_default())?;
    let version = match segments.next() {
        Some("versions") => Some(decoded(segments.next().unwrap_or_default())?),
        _ => None,
    };
    Ok(ModelRef { name, version })
}

pub(super) fn decoded(segment: &str) -> Result<String, Fault> {
    let bad = || {
        Fault::new(
            FaultKind::Malformed,
            "invalid_path",
            format!(
                "'{}' in the path is not percent-encoded UTF-8",
                shown(segment)
            ),
        )
    };
    if !segment.contains('%') {
        return Ok(segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let [high, low, tail @ ..] = rest else {
            return Err(bad());
        };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err(bad());
        };
        // Two hexadecimal digits make a byte.
        bytes.push((high * 16 + low) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// A caller's text for a message, shortened.
fn shown(text: &str) -> &str {
    let mut end = text.len().min(120);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_percent_decoded() {
        let model = model_of("/v2/models/a%2Fb%20c/versions/01/infer").unwrap();
        assert_eq!(model.name, "a/b c");
        assert_eq!(model.version.as_deref(), Some("01"));
        assert_eq!(model_of("/v2/models/m/infer").unwrap().version, None);
        assert_eq!(model_of("/v2/models/m").unwrap().name, "m");
    }

    #[test]
    fn bad_escapes_are_refused() {
        for path in [
            "/v2/models/a%",
            "/v2/models/a%2",
            "/v2/models/%zz",
            "/v2/models/%ff",
            "/v2/models/m/versions/%",
        ] {
            assert_eq!(model_of(path).unwrap_err().code, "invalid_path", "{path}");
        }
    }
}
