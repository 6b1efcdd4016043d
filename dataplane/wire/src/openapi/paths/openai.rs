//! OpenAI's interface, under two prefixes, and KServe's first protocol.

use serde_json::{Map, Value, json};

use super::infer::timeout_header;
use crate::openapi::at::At;
use crate::openapi::operation::{Operation, schema};
use serin_core::types::{ModelDescription, TensorSpec};

const TAG: &str = "OpenAI and KServe V1";

/// The prefixes of the interface's paths, and those of its operations' names.
const PREFIXES: [(&str, &str); 2] = [("/v1", "openai"), ("/openai/v1", "openaiPrefixed")];

pub(super) fn of_server(models: &[ModelDescription]) -> Vec<Operation> {
    let list = json!({
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": schema("OpenAiModel")}},
    });
    let both = PREFIXES.iter().flat_map(|(prefix, id)| {
        [
            Operation::get(format!("{prefix}/models"), format!("{id}Models"), TAG)
                .summary("The models, as OpenAI lists them")
                .json(200, "All models.", &list)
                .openai(),
            embeddings(prefix, id, models),
        ]
    });
    both.collect()
}

fn embeddings(prefix: &str, id: &str, models: &[ModelDescription]) -> Operation {
    let embedders = models.iter().filter(|model| model.embedding.is_some());
    let names: Vec<&str> = embedders.map(|model| model.name.as_str()).collect();
    let mut content = json!({"schema": embeddings_request()});
    if let Some(first) = names.first() {
        content["example"] = json!({"model": first, "input": "a canary sings"});
    }
    timeout_header(Operation::post(
        format!("{prefix}/embeddings"),
        format!("{id}Embeddings"),
        TAG,
        true,
        &json!({"application/json": content}),
    ))
    .summary("Vectors of texts")
    .about(match names.as_slice() {
        [] => "None of the loaded models is an embedder.".to_owned(),
        _ => format!("Embedders: {}.", names.join(", ")),
    })
    .json(200, "One vector for each text.", &embeddings_answer())
    .faults(&[404, 504])
    .openai()
}

fn embeddings_request() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let ids = json!({"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": u32::MAX}});
    json!({
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string"},
            "input": {
                "description": "A text, token ids, or a list of these.",
                "anyOf": [
                    text,
                    ids,
                    {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"anyOf": [text, ids]}},
                ],
            },
            "encoding_format": {"enum": ["float", "base64", null]},
            "dimensions": {"type": ["integer", "null"], "minimum": 1, "description": "The first so many values, no more than the model's vectors have."},
            "user": {"type": ["string", "null"]},
        },
    })
}

fn embeddings_answer() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "required": ["object", "data", "model", "usage"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {
                "type": "object",
                "required": ["object", "index", "embedding"],
                "properties": {
                    "object": {"const": "embedding"},
                    "index": count,
                    "embedding": {"anyOf": [
                        {"type": "array", "items": schema("FP32")},
                        {"type": "string", "description": "Base64 of little-endian FP32."},
                    ]},
                },
            }},
            "model": {"type": "string"},
            "usage": {
                "type": "object",
                "required": ["prompt_tokens", "total_tokens"],
                "properties": {"prompt_tokens": count, "total_tokens": count},
            },
        },
    })
}

/// The model's paths, without a version.
pub(super) fn of_model(at: &At<'_>) -> Vec<Operation> {
    if at.versioned {
        return Vec::new();
    }
    let (_, name) = at.base.rsplit_once('/').unwrap_or_default();
    PREFIXES
        .iter()
        .flat_map(|(prefix, id)| {
            let path = format!("{prefix}/models/{name}");
            let suffix = format!("{id}_{}", at.suffix);
            [
                Operation::get(path.as_str(), format!("model_{suffix}"), TAG)
                    .summary("The model, as OpenAI describes it")
                    .json(
                        200,
                        "It is there; `ready` says whether it answers.",
                        &schema("OpenAiModel"),
                    )
                    .faults(&[404]),
                predict(&path, &suffix, at),
                Operation::post(
                    format!("{path}:explain"),
                    format!("explain_{suffix}"),
                    TAG,
                    false,
                    &json!({"application/json": {"schema": {}}}),
                )
                .summary("Not offered")
                .faults(&[501]),
            ]
        })
        .map(Operation::openai)
        .collect()
}

fn predict(path: &str, suffix: &str, at: &At<'_>) -> Operation {
    let answer = json!({
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"description": "A value, or an object of them by output, for each row."}},
    });
    timeout_header(Operation::post(
        format!("{path}:predict"),
        format!("predict_{suffix}"),
        TAG,
        true,
        &json!({"application/json": {"schema": predict_request(&at.model.signature.inputs)}}),
    ))
    .summary("Runs the model, by KServe's first protocol")
    .about("Shapes are those of the nested lists.")
    .json(200, "The outputs.", &answer)
    .faults(&[404, 501, 504])
}

fn predict_request(inputs: &[TensorSpec]) -> Value {
    let value = |input: &TensorSpec| schema(&format!("{}.Nested", input.datatype));
    let members: Map<String, Value> = inputs
        .iter()
        .map(|input| (input.name.clone(), value(input)))
        .collect();
    let required: Vec<&TensorSpec> = inputs.iter().filter(|input| !input.optional).collect();
    let names: Vec<&str> = required.iter().map(|input| input.name.as_str()).collect();
    let named = json!({"type": "object", "required": names, "properties": members, "additionalProperties": false});
    let only = match (inputs, required.as_slice()) {
        ([only], _) => Some(value(only)),
        (_, [only]) => Some(value(only)),
        _ => None,
    };
    let either = |more: Option<Value>| match more {
        Some(value) => json!({"anyOf": [value, named]}),
        None => named.clone(),
    };
    json!({
        "type": "object",
        "properties": {
            "instances": {"type": "array", "items": either(only.clone()), "description": "A value, or an object of them by input, for each row."},
            "inputs": either(only),
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    })
}

/// Responses of several operations.
pub(in crate::openapi) fn schemas() -> [(&'static str, Value); 1] {
    let model = json!({
        "type": "object",
        "required": ["id", "object", "created", "owned_by"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer", "minimum": 0, "description": "Seconds since 1970."},
            "owned_by": {"type": "string"},
            "root": {"type": "string"},
            "parent": {"type": ["string", "null"]},
            "max_model_len": {"type": "integer", "minimum": 1},
            "ready": {"type": "boolean"},
        },
    });
    [("OpenAiModel", model)]
}
