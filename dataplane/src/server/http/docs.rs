//! Descriptions of the served models, for tools and for people.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::counted::refuse_on;
use crate::pipeline::{ModelDescription, Serve};
use crate::server::documents::Document;
use crate::server::path::model_of;
use crate::server::state::ServerState;
use serin_core::fault::Fault;
use serin_core::types::{ModelRef, ModelState};

use serin_wire::{docs_page, openapi};

/// The paths of documents and pages.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<ServerState<S>>>); 9] {
    let server = || get(server::<S>);
    let model = || get(model::<S>);
    let page = || get(page::<S>);
    [
        ("/openapi.json", server()),
        ("/v2/docs/dataplane.json", server()),
        ("/v2/models/{name}/docs/dataplane.json", model()),
        (
            "/v2/models/{name}/versions/{version}/docs/dataplane.json",
            model(),
        ),
        ("/docs", get(index::<S>)),
        ("/docs/models/{name}", page()),
        ("/docs/models/{name}/versions/{version}", page()),
        ("/v2/models/{name}/docs", page()),
        ("/v2/models/{name}/versions/{version}/docs", page()),
    ]
}

async fn server<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let loaded = state.service.models().into_iter().filter(ModelState::ready);
    let models: Vec<ModelDescription> = loaded
        .filter_map(|model| {
            let model = ModelRef {
                name: model.name,
                version: Some(model.version),
            };
            // One that was unloaded a moment ago is left out.
            state.service.describe(&model).ok()
        })
        .collect();
    answer(
        &state,
        "/openapi.json",
        state.documents.of(&models),
        request.headers(),
    )
}

async fn model<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/docs/dataplane.json";
    match described(&state, request.uri().path()) {
        Ok((model, versioned)) => {
            let document = Document::new(&openapi::of_model(&model, versioned));
            answer(&state, ROUTE, document, request.headers())
        }
        Err(fault) => refuse_on(&state, ROUTE, &fault, request),
    }
}

async fn index<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let root = root_from(request.uri().path());
    html(
        &state,
        "/docs",
        docs_page::index(&state.service.models(), &root),
    )
}

async fn page<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/docs/models/{name}";
    let path = request.uri().path();
    match described(&state, path) {
        Ok((model, versioned)) => {
            let page = docs_page::model(&model, versioned, &root_from(path));
            html(&state, ROUTE, page)
        }
        Err(fault) => refuse_on(&state, ROUTE, &fault, request),
    }
}

/// The model that a path names, and whether it names the version too.
fn described<S: Serve>(
    state: &ServerState<S>,
    path: &str,
) -> Result<(ModelDescription, bool), Fault> {
    let model = model_of(path)?;
    Ok((state.service.describe(&model)?, model.version.is_some()))
}

/// The way from a page to the server's `/` as the browser sees it: a gateway may have put a prefix
/// before the path.
fn root_from(path: &str) -> String {
    match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        slashes => "../".repeat(slashes - 1),
    }
}

fn answer<S>(
    state: &ServerState<S>,
    route: &'static str,
    document: Document,
    headers: &HeaderMap,
) -> Response<Body> {
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| {
        known.as_bytes() == b"*"
            || known.to_str().is_ok_and(|known| {
                known
                    .split(',')
                    .any(|tag| tag.trim().trim_start_matches("W/") == document.etag)
            })
    });
    let mut response = Response::new(Body::empty());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(document.body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    state
        .metrics
        .http_request(route, response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(ETAG, document.etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn html<S>(state: &ServerState<S>, route: &'static str, page: String) -> Response<Body> {
    state.metrics.http_request(route, 200);
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    // Hashes in base64 are always a header value.
    if let Ok(policy) = HeaderValue::from_str(&docs_page::POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
