//! The methods beyond inference: configuration, statistics, repository and settings.

use std::collections::HashMap;

use crate::pipeline::Serve;
use crate::server::http::settings::values::{self as settings, LogValue};
use crate::server::state::ServerState;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::control::{
    index, load_parameter, repository_name, settings_are_for_the_admin_port, unload_parameter,
};
use serin_wire::oip_grpc::proto::model_repository_parameter::ParameterChoice;
use serin_wire::oip_grpc::proto::{
    LogSettingsRequest, LogSettingsResponse, ModelConfigRequest, ModelConfigResponse,
    ModelRepositoryParameter, ModelStatisticsRequest, ModelStatisticsResponse,
    RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    TraceSettingRequest, TraceSettingResponse, log_settings_response, repository_index_response,
    trace_setting_response,
};
use serin_wire::oip_grpc::{model_config, request, statistics};

/// `ModelConfig`.
pub(super) fn config<S: Serve>(
    state: &ServerState<S>,
    request: ModelConfigRequest,
) -> Result<ModelConfigResponse, Fault> {
    let ModelConfigRequest { name, version } = request;
    let model = state
        .service
        .describe(&request::model_ref(&name, &version)?)?;
    Ok(ModelConfigResponse {
        config: Some(model_config::of(&model)),
    })
}

/// `ModelStatistics`: of all models where none is named.
pub(super) fn statistics<S: Serve>(
    state: &ServerState<S>,
    request: ModelStatisticsRequest,
) -> Result<ModelStatisticsResponse, Fault> {
    let ModelStatisticsRequest { name, version } = request;
    let model = if name.is_empty() && version.is_empty() {
        None
    } else {
        Some(request::model_ref(&name, &version)?)
    };
    let counted = state.service.statistics(model.as_ref())?;
    Ok(ModelStatisticsResponse {
        model_stats: counted.into_iter().map(statistics::of).collect(),
    })
}

/// `RepositoryIndex`.
pub(super) fn repository_index<S: Serve>(
    state: &ServerState<S>,
    request: &RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Fault> {
    if !request.repository_name.is_empty() {
        return Err(repository_name(&request.repository_name));
    }
    let models = index(state.service.models(), request.ready)
        .into_iter()
        .map(|entry| repository_index_response::ModelIndex {
            name: entry.name,
            version: entry.version,
            state: entry.state.to_owned(),
            reason: entry.reason,
        })
        .collect();
    Ok(RepositoryIndexResponse { models })
}

/// `RepositoryModelLoad`.
pub(super) async fn load<S: Serve>(
    state: &ServerState<S>,
    request: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse, Fault> {
    let model_name = model_to_change(request.repository_name, request.model_name)?;
    state.may_control("loaded", &model_name)?;
    if let Some(name) = first(&request.parameters) {
        return Err(load_parameter(name));
    }
    state.service.load(&model_name).await?;
    Ok(RepositoryModelLoadResponse {
        model_name,
        is_loaded: true,
    })
}

/// `RepositoryModelUnload`.
pub(super) fn unload<S: Serve>(
    state: &ServerState<S>,
    request: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse, Fault> {
    let model_name = model_to_change(request.repository_name, request.model_name)?;
    state.may_control("unloaded", &model_name)?;
    for (name, value) in &request.parameters {
        let is_bool = matches!(value.parameter_choice, Some(ParameterChoice::BoolParam(_)));
        unload_parameter(name, is_bool)?;
    }
    state.service.unload(&model_name)?;
    Ok(RepositoryModelUnloadResponse {
        model_name,
        is_unloaded: true,
    })
}

/// The requested model: Triton's clients name it in field 2, KServe's in field 1.
fn model_to_change(field_1: String, field_2: String) -> Result<String, Fault> {
    match (field_1.is_empty(), field_2.is_empty()) {
        (true, true) => Err(Fault::new(
            FaultKind::Malformed,
            "missing_field",
            "model_name is empty: name the model",
        )
        .with_param("model_name")),
        (true, false) => Ok(field_2),
        (false, true) => Ok(field_1),
        (false, false) => Err(repository_name(&field_1)),
    }
}

/// The alphabetically first parameter, so that the same request gives the same answer.
fn first(parameters: &HashMap<String, ModelRepositoryParameter>) -> Option<&String> {
    parameters.keys().min()
}

/// `LogSettings`: shown here, changed on the admin port.
pub(super) fn log_settings(request: &LogSettingsRequest) -> Result<LogSettingsResponse, Fault> {
    use log_settings_response::SettingValue;
    use log_settings_response::setting_value::ParameterChoice as Choice;

    if !request.settings.is_empty() {
        return Err(settings_are_for_the_admin_port("the log", "/v2/logging"));
    }
    let shown = settings::log().into_iter().map(|(name, value)| {
        let choice = match value {
            LogValue::Bool(on) => Choice::BoolParam(on),
            LogValue::Level(level) => Choice::Uint32Param(level),
            LogValue::Text(text) => Choice::StringParam(text.to_owned()),
        };
        let value = SettingValue {
            parameter_choice: Some(choice),
        };
        (name.to_owned(), value)
    });
    Ok(LogSettingsResponse {
        settings: shown.collect(),
    })
}

/// `TraceSetting`: shown here, changed on the admin port.
pub(super) fn trace_setting<S: Serve>(
    state: &ServerState<S>,
    request: &TraceSettingRequest,
) -> Result<TraceSettingResponse, Fault> {
    let model = Some(&request.model_name).filter(|name| !name.is_empty());
    if let Some(name) = model {
        settings::known_model(&state.service.models(), name)?;
    }
    if !request.settings.is_empty() {
        return Err(settings_are_for_the_admin_port(
            "traces",
            "/v2/trace/setting",
        ));
    }
    let shown = settings::trace(state.tracer.current().as_ref())
        .into_iter()
        .map(|(name, value)| {
            let value = trace_setting_response::SettingValue {
                value: value.into_values(),
            };
            (name.to_owned(), value)
        });
    Ok(TraceSettingResponse {
        settings: shown.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_to_change_is_named_in_either_field() {
        let named = |one: &str, two: &str| model_to_change(one.to_owned(), two.to_owned());
        assert_eq!(named("", "m").unwrap(), "m");
        assert_eq!(named("m", "").unwrap(), "m");
        assert_eq!(named("", "").unwrap_err().code, "missing_field");
        let fault = named("models", "m").unwrap_err();
        assert_eq!(fault.code, "unsupported_parameter");
        assert!(fault.message.contains("'models'"), "{fault}");
    }
}
