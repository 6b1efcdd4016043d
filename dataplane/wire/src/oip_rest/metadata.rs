//! The documents of server metadata, model metadata and health.

use serde::Serialize;

use crate::control::extensions;
use serin_core::types::TensorSpec;
use serin_core::types::{ModelDescription, ModelState};

/// `GET /v2`.
#[derive(Serialize)]
pub struct ServerMetadata {
    /// The server's name.
    pub name: &'static str,
    /// The server's version.
    pub version: &'static str,
    /// The names of the offered extensions.
    pub extensions: Vec<&'static str>,
}

/// The server's metadata; `repository_control`: callers may load and unload models.
pub fn server(repository_control: bool) -> ServerMetadata {
    ServerMetadata {
        name: "serin",
        version: env!("CARGO_PKG_VERSION"),
        extensions: extensions(repository_control),
    }
}

/// `GET /v2/models/{name}`.
#[derive(Serialize)]
pub struct ModelMetadata<'a> {
    name: &'a str,
    versions: &'a [String],
    platform: &'static str,
    inputs: Vec<TensorMetadata<'a>>,
    outputs: Vec<TensorMetadata<'a>>,
    parameters: ModelParameters<'a>,
}

/// Metadata beyond the protocol.
#[derive(Serialize)]
struct ModelParameters<'a> {
    /// Outputs of types that the protocol has no name for, joined by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    unserved_outputs: String,
    max_batch_rows: usize,
    batching: &'a str,
}

#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: Vec<i64>,
}

impl<'a> ModelMetadata<'a> {
    /// Metadata of `model`.
    pub fn new(model: &'a ModelDescription) -> Self {
        Self {
            name: &model.name,
            versions: &model.versions,
            platform: model.platform,
            inputs: tensors(&model.signature.inputs),
            outputs: tensors(&model.signature.outputs),
            parameters: ModelParameters {
                unserved_outputs: model.signature.unserved_outputs.join(","),
                max_batch_rows: model.batching.max_rows,
                batching: &model.batching.reason,
            },
        }
    }
}

fn tensors(specs: &[TensorSpec]) -> Vec<TensorMetadata<'_>> {
    specs
        .iter()
        .map(|spec| TensorMetadata {
            name: &spec.name,
            datatype: spec.datatype.as_str(),
            shape: spec.shape_for_metadata(),
        })
        .collect()
}

/// `GET /v2/models`.
#[derive(Serialize)]
pub struct ModelList {
    models: Vec<String>,
}

impl ModelList {
    /// Each name once, in configuration order.
    pub fn new(states: Vec<ModelState>) -> Self {
        let mut models: Vec<String> = Vec::new();
        for state in states {
            if !models.contains(&state.name) {
                models.push(state.name);
            }
        }
        Self { models }
    }
}

/// `GET /v2/health/live` and `/ready`. KServe's client reads `ready`, the protocol's text names
/// `live` for both.
#[derive(Serialize)]
pub struct Health {
    /// Whether every model can answer; on the readiness path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Whether the process is live.
    pub live: bool,
    /// `alive`, which clients of KServe's first protocol read at `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Why the server is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `GET /v2/models/{name}/ready`.
#[derive(Serialize)]
pub struct ModelReady<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Whether it can answer.
    pub ready: bool,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
