//! Descriptions of what is served, for tools and for people.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::app::App;
use super::routes::{model_of, refuse};
use crate::pipeline::{ModelDescription, Serve};
use serin_core::fault::Fault;
use serin_core::types::{ModelRef, ModelState, Signature};
use serin_wire::{docs_page, openapi};

/// The paths of documents and pages.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<App<S>>>); 9] {
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

/// The document of the whole server, made once for each set of loaded models.
#[derive(Default)]
pub(super) struct Documents(Mutex<Option<(Vec<Key>, Document)>>);

/// What a model's part of the document depends on. Holding the signature keeps its address from
/// being used for another one.
struct Key {
    name: String,
    version: String,
    signature: Arc<Signature>,
}

#[derive(Clone)]
struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    fn new(document: &serde_json::Value) -> Self {
        let body = document.to_string();
        let digest = Sha256::digest(&body);
        let etag = format!("\"{}\"", hex::encode(&digest[..16]));
        Self {
            body: Bytes::from(body),
            // Hexadecimal digits in quotes are always a header value.
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }
}

impl Documents {
    fn of(&self, models: &[ModelDescription]) -> Document {
        let same = |keys: &[Key]| {
            keys.len() == models.len()
                && keys.iter().zip(models).all(|(key, model)| {
                    key.name == model.name
                        && key.version == model.version
                        && Arc::ptr_eq(&key.signature, &model.signature)
                })
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((keys, document)) if same(keys) => document.clone(),
            _ => {
                let document = Document::new(&openapi::of_server(models));
                let keys = models.iter().map(|model| Key {
                    name: model.name.clone(),
                    version: model.version.clone(),
                    signature: Arc::clone(&model.signature),
                });
                *kept = Some((keys.collect(), document.clone()));
                document
            }
        }
    }
}

async fn server<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let loaded = app.service.models().into_iter().filter(ModelState::ready);
    let models: Vec<ModelDescription> = loaded
        .filter_map(|model| {
            let model = ModelRef {
                name: model.name,
                version: Some(model.version),
            };
            // One that was unloaded a moment ago is left out.
            app.service.describe(&model).ok()
        })
        .collect();
    answer(
        &app,
        "/openapi.json",
        app.documents.of(&models),
        request.headers(),
    )
}

async fn model<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/docs/dataplane.json";
    match described(&app, request.uri().path()) {
        Ok((model, versioned)) => {
            let document = Document::new(&openapi::of_model(&model, versioned));
            answer(&app, ROUTE, document, request.headers())
        }
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

async fn index<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let root = root_from(request.uri().path());
    html(
        &app,
        "/docs",
        docs_page::index(&app.service.models(), &root),
    )
}

async fn page<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    const ROUTE: &str = "/docs/models/{name}";
    let path = request.uri().path();
    match described(&app, path) {
        Ok((model, versioned)) => {
            let page = docs_page::model(&model, versioned, &root_from(path));
            html(&app, ROUTE, page)
        }
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

/// The model that a path names, and whether it names the version too.
fn described<S: Serve>(app: &App<S>, path: &str) -> Result<(ModelDescription, bool), Fault> {
    let model = model_of(path)?;
    Ok((app.service.describe(&model)?, model.version.is_some()))
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
    app: &App<S>,
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
    app.metrics.http_request(route, response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(ETAG, document.etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn html<S>(app: &App<S>, route: &'static str, page: String) -> Response<Body> {
    app.metrics.http_request(route, 200);
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
