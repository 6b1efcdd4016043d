//! What the control interfaces (repository, configuration, settings) share between REST and gRPC:
//! names, the repository index, and the faults of requests that are not offered.

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Availability, Batching, Datatype, ModelState, TensorSpec};

/// One version of a model in the repository index.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct IndexEntry {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Triton's name of the state: `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`.
    pub state: &'static str,
    /// Why the version does not answer; empty if it does.
    pub reason: String,
}

/// The index of all models, or with `only_ready` of those that answer.
pub fn index(models: Vec<ModelState>, only_ready: bool) -> Vec<IndexEntry> {
    models
        .into_iter()
        .filter(|model| !only_ready || model.ready())
        .map(|model| IndexEntry {
            state: state_name(model.availability),
            name: model.name,
            version: model.version,
            reason: model.reason.unwrap_or_default(),
        })
        .collect()
}

/// Triton's name of a state.
const fn state_name(availability: Availability) -> &'static str {
    match availability {
        Availability::Ready => "READY",
        Availability::Loading | Availability::Reloading => "LOADING",
        Availability::Unloading => "UNLOADING",
        Availability::Failed | Availability::Unloaded => "UNAVAILABLE",
    }
}

/// The names of Triton's extensions that are offered.
pub(crate) fn extensions(repository_control: bool) -> Vec<&'static str> {
    let mut extensions = vec![
        "binary_tensor_data",
        "classification",
        "logging",
        "model_configuration",
        "parameters",
        "schedule_policy",
        "statistics",
    ];
    if repository_control {
        extensions.push("model_repository");
    }
    extensions.sort_unstable();
    extensions
}

/// The fault of a parameter in a load request: none is accepted.
pub fn load_parameter(name: &str) -> Fault {
    let why = if name == "config" || name.starts_with("file:") {
        "a model and its configuration come from the InferenceService alone, never from a request: \
         change spec.model there"
    } else {
        "loading takes no parameters; remove it"
    };
    Fault::new(
        FaultKind::Unsupported,
        "unsupported_parameter",
        format!("parameter '{name}' is not supported: {why}"),
    )
    .with_param(format!("parameters.{name}"))
}

/// Checks a parameter of an unload request. Models do not depend on each other, so
/// `unload_dependents` has no effect.
///
/// # Errors
/// `Unsupported` for any other name, `Malformed` for a value that is no boolean.
pub fn unload_parameter(name: &str, is_bool: bool) -> Result<(), Fault> {
    let fault = |kind, code, why| {
        Fault::new(kind, code, format!("parameter '{name}' {why}"))
            .with_param(format!("parameters.{name}"))
    };
    match (name, is_bool) {
        ("unload_dependents", true) => Ok(()),
        ("unload_dependents", false) => Err(fault(
            FaultKind::Malformed,
            "invalid_parameter",
            "must be true or false",
        )),
        _ => Err(fault(
            FaultKind::Unsupported,
            "unsupported_parameter",
            "is not supported: unloading takes unload_dependents alone; remove it",
        )),
    }
}

/// The fault of a request that names a repository: the only one has no name.
pub fn repository_name(name: &str) -> Fault {
    Fault::new(
        FaultKind::Unsupported,
        "unsupported_parameter",
        format!("repository_name '{name}' is not supported: there is one repository, leave it out"),
    )
    .with_param("repository_name")
}

/// The fault of every request about shared memory.
pub fn no_shared_memory() -> Fault {
    Fault::new(
        FaultKind::NotImplemented,
        "not_implemented",
        "shared memory is not offered: a caller's memory is not within reach of another pod; send \
         tensors as binary data, over HTTP after the JSON or over gRPC in raw_input_contents",
    )
}

/// The fault of a change of settings on a serving port. `what` names the settings, `path` the path
/// on the admin port.
pub fn settings_are_for_the_admin_port(what: &str, path: &str) -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "permission_denied",
        format!(
            "the settings of {what} cannot be changed on this port: POST {path} on the admin port, \
             8082 in a pod"
        ),
    )
}

/// The value of a log setting in a change, as far as a protocol can carry one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingValue<'a> {
    /// Restores the value of the start.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number from 0.
    Number(u64),
    /// A string.
    Text(&'a str),
    /// Any other value; no setting takes one.
    Other,
}

/// Triton's name of the engine.
pub(crate) const BACKEND: &str = "onnxruntime";

/// `max_batch_size` of Triton's configuration: the most rows of one run, 0 if requests are not
/// merged.
pub(crate) fn max_batch_size(batching: &Batching) -> i32 {
    if batching.merges() {
        i32::try_from(batching.max_rows).unwrap_or(i32::MAX)
    } else {
        0
    }
}

/// `dims` of Triton's configuration: without the batch dimension if requests are merged.
pub(crate) fn config_dims(spec: &TensorSpec, batching: &Batching) -> Vec<i64> {
    let mut dims = spec.shape_for_metadata();
    if batching.merges() && !dims.is_empty() {
        dims.remove(0);
    }
    dims
}

/// Triton's name of a datatype.
pub(crate) const fn data_type(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "TYPE_BOOL",
        Datatype::Uint8 => "TYPE_UINT8",
        Datatype::Uint16 => "TYPE_UINT16",
        Datatype::Uint32 => "TYPE_UINT32",
        Datatype::Uint64 => "TYPE_UINT64",
        Datatype::Int8 => "TYPE_INT8",
        Datatype::Int16 => "TYPE_INT16",
        Datatype::Int32 => "TYPE_INT32",
        Datatype::Int64 => "TYPE_INT64",
        Datatype::Fp16 => "TYPE_FP16",
        Datatype::Bf16 => "TYPE_BF16",
        Datatype::Fp32 => "TYPE_FP32",
        Datatype::Fp64 => "TYPE_FP64",
        Datatype::Bytes => "TYPE_STRING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, availability: Availability, reason: Option<&str>) -> ModelState {
        ModelState {
            name: name.to_owned(),
            version: "1".to_owned(),
            availability,
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn the_index_says_where_each_model_stands_and_why() {
        let models = || {
            vec![
                model("a", Availability::Ready, None),
                model("b", Availability::Unloaded, Some("unloaded")),
                model("c", Availability::Reloading, Some("loading")),
                model("d", Availability::Failed, Some("it is not ONNX")),
            ]
        };
        let lines: Vec<_> = index(models(), false)
            .into_iter()
            .map(|entry| (entry.name, entry.state, entry.reason))
            .collect();
        let line = |name: &str, state, reason: &str| (name.to_owned(), state, reason.to_owned());
        assert_eq!(
            lines,
            [
                line("a", "READY", ""),
                line("b", "UNAVAILABLE", "unloaded"),
                line("c", "LOADING", "loading"),
                line("d", "UNAVAILABLE", "it is not ONNX"),
            ]
        );
        assert_eq!(index(models(), true).len(), 1);
    }

    #[test]
    fn nothing_of_a_request_becomes_a_model() {
        for name in ["config", "file:1/model.onnx"] {
            let fault = load_parameter(name);
            assert_eq!(fault.kind, FaultKind::Unsupported);
            assert!(fault.message.contains("never from a request"), "{fault}");
        }
    }

    #[test]
    fn control_is_advertised_only_where_it_is_allowed() {
        assert!(!extensions(false).contains(&"model_repository"));
        assert!(extensions(true).contains(&"model_repository"));
    }
}
