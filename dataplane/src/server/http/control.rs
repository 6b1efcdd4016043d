//! Triton's extensions: statistics, configuration, the repository, and shared memory, which is not
//! offered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, get, post};
use http::Response;

use serin_core::fault::Fault;
use serin_wire::control::{index, no_shared_memory};
use serin_wire::oip_rest::model_config::ModelConfig;
use serin_wire::oip_rest::repository::{
    Loaded, Unloaded, index_request, load_request, unload_request,
};
use serin_wire::oip_rest::statistics::StatisticsDocument;

use super::control_request::ControlRequest;
use super::counted::{answer_on, refuse_on};
use crate::pipeline::Serve;
use crate::server::path::{decoded, model_of};
use crate::server::state::ServerState;
use crate::server::unary::Received;

/// The paths of these extensions.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<ServerState<S>>>); 18] {
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
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/stats";
    let counted = state.service.statistics(None);
    answer_on(
        &state,
        ROUTE,
        &counted.map(StatisticsDocument::new),
        request,
    )
}

async fn statistics<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/stats";
    let counted =
        model_of(request.uri().path()).and_then(|model| state.service.statistics(Some(&model)));
    answer_on(
        &state,
        ROUTE,
        &counted.map(StatisticsDocument::new),
        request,
    )
}

async fn config<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    const ROUTE: &str = "/v2/models/{name}/config";
    let described = model_of(request.uri().path()).and_then(|model| state.service.describe(&model));
    let config = described.as_ref().map(ModelConfig::new);
    answer_on(&state, ROUTE, &config, request)
}

async fn repository_index<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (control, body) = ControlRequest::of(request);
    let listed = async {
        let Received {
            bytes,
            mut reservation,
        } = control.read(&state, body).await?;
        let depth = state.resources.limits.json_depth;
        let only_ready = reservation.read(|room| index_request(&bytes, depth, room))?;
        Ok(index(state.service.models(), only_ready))
    };
    let listed = listed.await;
    control.answer(&state, "/v2/repository/index", &listed)
}

async fn load<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (control, body) = ControlRequest::of(request);
    let loaded = async {
        let name = model_to_change(control.parts.uri.path())?;
        state.may_control("loaded", &name)?;
        let Received {
            bytes,
            mut reservation,
        } = control.read(&state, body).await?;
        let depth = state.resources.limits.json_depth;
        reservation.read(|room| load_request(&bytes, depth, room))?;
        drop((bytes, reservation));
        state.service.load(&name).await?;
        Ok(Loaded { name, load: true })
    };
    let loaded = loaded.await;
    control.answer(&state, "/v2/repository/models/{name}/load", &loaded)
}

async fn unload<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let (control, body) = ControlRequest::of(request);
    let unloaded = async {
        let name = model_to_change(control.parts.uri.path())?;
        state.may_control("unloaded", &name)?;
        let Received {
            bytes,
            mut reservation,
        } = control.read(&state, body).await?;
        let depth = state.resources.limits.json_depth;
        reservation.read(|room| unload_request(&bytes, depth, room))?;
        state.service.unload(&name)?;
        Ok(Unloaded { name, unload: true })
    };
    let unloaded = unloaded.await;
    control.answer(&state, "/v2/repository/models/{name}/unload", &unloaded)
}

/// The model that a path under `/v2/repository/models/` names.
fn model_to_change(path: &str) -> Result<String, Fault> {
    decoded(path.split('/').nth(4).unwrap_or_default())
}

async fn no_shared_memory_here<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let route = if request.uri().path().starts_with("/v2/cuda") {
        "/v2/cudasharedmemory"
    } else {
        "/v2/systemsharedmemory"
    };
    refuse_on(&state, route, &no_shared_memory(), request)
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
