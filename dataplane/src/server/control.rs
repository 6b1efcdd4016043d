//! Triton's extensions: statistics, configuration, the repository, and shared memory, which is not
//! offered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;

use super::app::App;
use super::body::{self, Received};
use super::exchange::{Exchange, refusal};
use super::routes::{decoded, model_of, refuse};
use crate::pipeline::Serve;
use serin_core::fault::Fault;
use serin_wire::control::{index, no_shared_memory};
use serin_wire::oip_rest::model_config::ModelConfig;
use serin_wire::oip_rest::repository::{
    Loaded, Unloaded, index_request, load_request, unload_request,
};
use serin_wire::oip_rest::statistics::StatisticsDocument;

/// The paths of these extensions.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<App<S>>>); 18] {
    let shown = || get(no_shared_memory_here::<S>);
    let changed = || post(no_shared_memory_here::<S>);
    [
        ("/v2/models/stats", get(all_statistics::<S>)),
        ("/v2/models/{name}/stats", get(statistics::<S>)),
        (
            "/v2/models/{name}/versions/{version}/stats",
            get(statistics::<S>),
        ),
        ("/v2/models/{name}/config", get(config::<S>)),
        (
            "/v2/models/{name}/versions/{version}/config",
            get(config::<S>),
        ),
        ("/v2/repository/index", post(repository_index::<S>)),
        ("/v2/repository/models/{name}/load", post(load::<S>)),
        ("/v2/repository/models/{name}/unload", post(unload::<S>)),
        ("/v2/systemsharedmemory/status", shown()),
        ("/v2/systemsharedmemory/region/{region}/status", shown()),
        ("/v2/systemsharedmemory/region/{region}/register", changed()),
        ("/v2/systemsharedmemory/unregister", changed()),
        (
            "/v2/systemsharedmemory/region/{region}/unregister",
            changed(),
        ),
        ("/v2/cudasharedmemory/status", shown()),
        ("/v2/cudasharedmemory/region/{region}/status", shown()),
        ("/v2/cudasharedmemory/region/{region}/register", changed()),
        ("/v2/cudasharedmemory/unregister", changed()),
        ("/v2/cudasharedmemory/region/{region}/unregister", changed()),
    ]
}

async fn all_statistics<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/stats";
    match app.service.statistics(None) {
        Ok(counted) => app.json(ROUTE, StatusCode::OK, &StatisticsDocument::new(counted)),
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

async fn statistics<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/stats";
    let counted =
        model_of(request.uri().path()).and_then(|model| app.service.statistics(Some(&model)));
    match counted {
        Ok(counted) => app.json(ROUTE, StatusCode::OK, &StatisticsDocument::new(counted)),
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

async fn config<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/config";
    let described = model_of(request.uri().path()).and_then(|model| app.service.describe(&model));
    match described {
        Ok(model) => app.json(ROUTE, StatusCode::OK, &ModelConfig::new(&model)),
        Err(fault) => refuse(&app, ROUTE, &fault, request),
    }
}

async fn repository_index<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let (asked, body) = Asked::of(request);
    let listed = async {
        let body = asked.read(&app, body).await?;
        let only_ready = index_request(&body.bytes, app.limits.json_depth)?;
        Ok(index(app.service.models(), only_ready))
    };
    let listed = listed.await;
    asked.answer(&app, "/v2/repository/index", &listed)
}

async fn load<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let (asked, body) = Asked::of(request);
    let loaded = async {
        let name = model_to_change(asked.parts.uri.path())?;
        app.service.may_control("loaded", &name)?;
        let body = asked.read(&app, body).await?;
        load_request(&body.bytes, app.limits.json_depth)?;
        drop(body);
        app.service.load(&name).await?;
        Ok(Loaded { name, load: true })
    };
    let loaded = loaded.await;
    asked.answer(&app, "/v2/repository/models/{name}/load", &loaded)
}

async fn unload<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let (asked, body) = Asked::of(request);
    let unloaded = async {
        let name = model_to_change(asked.parts.uri.path())?;
        app.service.may_control("unloaded", &name)?;
        let body = asked.read(&app, body).await?;
        unload_request(&body.bytes, app.limits.json_depth)?;
        app.service.unload(&name)?;
        Ok(Unloaded { name, unload: true })
    };
    let unloaded = unloaded.await;
    asked.answer(&app, "/v2/repository/models/{name}/unload", &unloaded)
}

/// The model that a path under `/v2/repository/models/` names.
fn model_to_change(path: &str) -> Result<String, Fault> {
    decoded(path.split('/').nth(4).unwrap_or_default())
}

async fn no_shared_memory_here<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let route = if request.uri().path().starts_with("/v2/cuda") {
        "/v2/cudasharedmemory"
    } else {
        "/v2/systemsharedmemory"
    };
    refuse(&app, route, &no_shared_memory(), request)
}

/// A request that has a body and is no inference.
pub(super) struct Asked {
    pub(super) parts: Parts,
    exchange: Exchange,
}

impl Asked {
    /// The request, and its body to be read.
    pub(super) fn of(request: Request) -> (Self, Body) {
        let (mut parts, body) = request.into_parts();
        let exchange = Exchange::of(&mut parts);
        (Self { parts, exchange }, body)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// As [`body::read`].
    pub(super) async fn read<S>(&self, app: &App<S>, body: Body) -> Result<Received, Fault> {
        body::read(
            body,
            &self.parts.headers,
            &app.limits,
            &app.bodies,
            &app.heavy,
        )
        .await
    }

    /// The answer, counted under its route.
    pub(super) fn answer<S>(
        &self,
        app: &App<S>,
        route: &'static str,
        outcome: &Result<impl Serialize, Fault>,
    ) -> Response<Body> {
        match outcome {
            Ok(document) => app.json(route, StatusCode::OK, document),
            Err(fault) => {
                app.metrics.http_request(route, fault.kind.http_status());
                refusal(fault, &self.parts, &self.exchange)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_to_change_is_percent_decoded() {
        let name = model_to_change("/v2/repository/models/team%2Fa%20model/load").unwrap();
        assert_eq!(name, "team/a model");
        let fault = model_to_change("/v2/repository/models/%zz/load").unwrap_err();
        assert_eq!(fault.code, "invalid_path");
    }
}
