//! The paths of OpenAI's interface and, beside its models, of KServe's first protocol.

mod embeddings;
mod models;
mod predict;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::header::ALLOW;
use http::{HeaderValue, Response};

use super::app::App;
use super::routes::{both, decoded, refuse};
use crate::pipeline::Serve;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// Where the interface is found: its own place, and KServe's.
const PREFIXES: [&str; 2] = ["/v1", "/openai/v1"];

/// The rest of a path.
pub(super) const ID: &str = "{*id}";

/// A model by its id, which may hold slashes: the rest of the path, with or without a slash at its
/// end.
const MODEL_ROUTE: &str = "/v1/models/{id}";

/// The paths. What stands here is described in [`openapi`](serin_wire::openapi) too.
pub(super) fn table<S: Serve>() -> Vec<(String, MethodRouter<Arc<App<S>>>)> {
    let of_prefix = |prefix| {
        [
            (format!("{prefix}/models"), get(models::list::<S>)),
            (format!("{prefix}/embeddings"), post(embeddings::embed::<S>)),
            (
                format!("{prefix}/models/{ID}"),
                get(models::retrieve::<S>).post(act::<S>),
            ),
        ]
    };
    PREFIXES.into_iter().flat_map(of_prefix).collect()
}

/// Adds the paths to those of `router`.
pub(super) fn routes<S: Serve>(router: Router<Arc<App<S>>>) -> Router<Arc<App<S>>> {
    table().into_iter().fold(router, |router, (path, methods)| {
        if path.ends_with(ID) {
            router.route(&path, methods)
        } else {
            both(router, (&path, methods))
        }
    })
}

/// `POST /v1/models/{name}:predict` and `:explain`.
async fn act<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let id = match id_of(request.uri().path()) {
        Ok(id) => id,
        Err(fault) => return refuse(&app, MODEL_ROUTE, &fault, request),
    };
    match id.rsplit_once(':') {
        Some((name, "predict")) => {
            let model = ModelRef {
                name: name.to_owned(),
                version: None,
            };
            predict::predict(&app, request, model).await
        }
        Some((_, "explain")) => {
            let fault = Fault::new(
                FaultKind::NotImplemented,
                "not_implemented",
                "explanations are not offered; POST to :predict",
            );
            refuse(&app, "/v1/models/{name}:explain", &fault, request)
        }
        _ => {
            let fault = Fault::new(
                FaultKind::MethodNotAllowed,
                "method_not_allowed",
                "a model is read with GET; POST is for its path with :predict",
            );
            let mut response = refuse(&app, MODEL_ROUTE, &fault, request);
            let allow = HeaderValue::from_static("GET,HEAD");
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }
}

/// The id at the end of a path below `/models/`, slashes and escaped slashes alike.
fn id_of(path: &str) -> Result<String, Fault> {
    let (_, id) = path.split_once("/models/").unwrap_or_default();
    decoded(id.strip_suffix('/').unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_slashes_escaped_or_not() {
        for path in [
            "/v1/models/team/model",
            "/v1/models/team%2Fmodel",
            "/openai/v1/models/team/model/",
        ] {
            assert_eq!(id_of(path).unwrap(), "team/model");
        }
        assert_eq!(id_of("/v1/models/a/models/b").unwrap(), "a/models/b");
        assert_eq!(id_of("/v1/models/%zz").unwrap_err().code, "invalid_path");
    }
}
