//! Model metadata and readiness.

use serde_json::{Value, json};

use crate::oip_rest::metadata::ModelMetadata;
use crate::openapi::at::At;
use crate::openapi::operation::{Operation, schema};

const TAG: &str = "Models";

pub(super) fn list() -> Vec<Operation> {
    let list = Operation::get("/v2/models", "listModels", TAG)
        .summary("The names of all models, loaded or not")
        .json(
            200,
            "Each name once.",
            &json!({
                "type": "object",
                "required": ["models"],
                "properties": {"models": {"type": "array", "items": {"type": "string"}}},
            }),
        );
    vec![list]
}

pub(super) fn of_model(at: &At<'_>) -> Vec<Operation> {
    let metadata = Operation::get(at.base.as_str(), format!("metadata_{}", at.suffix), TAG)
        .summary("What the model takes and gives")
        .answer(200, "Its metadata.", &metadata_content(at))
        .faults(&[404, 503]);
    let ready = Operation::get(
        format!("{}/ready", at.base),
        format!("ready_{}", at.suffix),
        TAG,
    )
    .summary("Whether the model can answer")
    .json(200, "It can.", &ready_schema())
    .json(503, "`error` says why not.", &ready_schema())
    .faults(&[404]);
    vec![metadata, ready]
}

fn metadata_content(at: &At<'_>) -> Value {
    let tensors = json!({"type": "array", "items": schema("TensorMetadata")});
    let document = json!({
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"const": at.model.name},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"const": at.model.platform},
            "inputs": tensors,
            "outputs": tensors,
            "parameters": {
                "type": "object",
                "properties": {
                    "max_batch_rows": {"type": "integer", "minimum": 1},
                    "batching": {"type": "string", "description": "Whether rows of several requests run together, and why."},
                    "unserved_outputs": {"type": "string", "description": "Outputs of types that the protocol has no name for."},
                },
            },
        },
    });
    // Structs of strings and numbers: they are always a value.
    let example = serde_json::to_value(ModelMetadata::new(at.model)).unwrap_or_default();
    json!({"application/json": {"schema": document, "example": example}})
}

fn ready_schema() -> Value {
    json!({
        "type": "object",
        "required": ["name", "ready"],
        "properties": {
            "name": {"type": "string"},
            "ready": {"type": "boolean"},
            "error": {"type": "string"},
        },
    })
}
