//! Triton's extensions: statistics, configuration, repository, settings, and shared memory, which
//! is not offered.

use serde_json::{Value, json};

use crate::oip_rest::model_config::ModelConfig;
use crate::openapi::at::At;
use crate::openapi::operation::{Operation, schema};

const TAG: &str = "Control";

pub(super) fn of_server() -> Vec<Operation> {
    let statistics = Operation::get("/v2/models/stats", "statistics", TAG)
        .summary("What has been counted of all models")
        .json(200, "The counts.", &schema("Statistics"));
    let index = post(
        "/v2/repository/index".to_owned(),
        "repositoryIndex".to_owned(),
        &json!({"properties": {"ready": {"type": ["boolean", "null"], "description": "Only models that answer."}}}),
    )
    .summary("Every model and where it stands")
    .json(
        200,
        "One entry for each version.",
        &json!({"type": "array", "items": {
            "type": "object",
            "required": ["name", "version", "state", "reason"],
            "properties": {
                "name": {"type": "string"},
                "version": {"type": "string"},
                "state": {"enum": ["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]},
                "reason": {"type": "string"},
            },
        }}),
    );
    let log = Operation::get("/v2/logging", "logSettings", TAG)
        .summary("Which log lines are written")
        .json(200, "The settings in force.", &log_settings());
    let change_log = post(
        "/v2/logging".to_owned(),
        "changeLogSettings".to_owned(),
        &json!({}),
    )
    .summary("Refused here: settings are changed on the admin port")
    .faults(&[403]);
    let mut operations = vec![statistics, index, log, change_log];
    operations.extend(trace("/v2", "", &[403]));
    operations.extend(shared_memory("system"));
    operations.extend(shared_memory("cuda"));
    operations
}

pub(super) fn of_model(at: &At<'_>) -> Vec<Operation> {
    let (base, suffix) = (at.base.as_str(), at.suffix.as_str());
    let statistics = Operation::get(format!("{base}/stats"), format!("stats_{suffix}"), TAG)
        .summary("What has been counted of the model")
        .json(200, "The counts.", &schema("Statistics"))
        .faults(&[404]);
    // Structs of strings and numbers: they are always a value.
    let example = serde_json::to_value(ModelConfig::new(at.model)).unwrap_or_default();
    let config = Operation::get(format!("{base}/config"), format!("config_{suffix}"), TAG)
        .summary("How the model is served, in the words of Triton's configuration")
        .answer(
            200,
            "What of it has a meaning here.",
            &json!({"application/json": {"schema": schema("ModelConfig"), "example": example}}),
        )
        .faults(&[404, 503]);
    let mut operations = vec![statistics, config];
    // The others are for every version of the name.
    if let ["", "v2", "models", name] = base.split('/').collect::<Vec<_>>()[..] {
        operations.push(change(name, "load", suffix));
        operations.push(change(name, "unload", suffix));
        operations.extend(trace(base, &format!("_{suffix}"), &[403, 404]));
    }
    operations
}

fn change(name: &str, verb: &str, suffix: &str) -> Operation {
    let (summary, parameters) = if verb == "load" {
        (
            "Loads every version of the model, or loads it again",
            json!({"type": ["object", "null"], "maxProperties": 0}),
        )
    } else {
        (
            "Takes every version of the model out of service",
            json!({
                "type": ["object", "null"],
                "properties": {"unload_dependents": {"type": "boolean"}},
                "additionalProperties": false,
            }),
        )
    };
    post(
        format!("/v2/repository/models/{name}/{verb}"),
        format!("{verb}_{suffix}"),
        &json!({"properties": {"parameters": parameters}}),
    )
    .summary(summary)
    .about("Only where `spec.api.repositoryControl` of the InferenceService allows it.")
    .json(
        200,
        "Done.",
        &json!({
            "type": "object",
            "required": ["name", verb],
            "properties": {"name": {"type": "string"}, verb: {"const": true}},
        }),
    )
    .faults(&[403, 404])
}

fn trace(base: &str, suffix: &str, refusals: &[u16]) -> [Operation; 2] {
    let path = format!("{base}/trace/setting");
    let value =
        json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    let shown = Operation::get(path.clone(), format!("traceSettings{suffix}"), TAG)
        .summary("What is traced")
        .json(
            200,
            "The settings in force.",
            &json!({"type": "object", "additionalProperties": value}),
        );
    let shown = if suffix.is_empty() {
        shown
    } else {
        shown.faults(&[404])
    };
    let changed = post(path, format!("changeTraceSettings{suffix}"), &json!({}))
        .summary("Refused here: settings are changed on the admin port")
        .faults(refusals);
    [shown, changed]
}

fn shared_memory(kind: &str) -> Vec<Operation> {
    let base = format!("/v2/{kind}sharedmemory");
    let shown =
        |path: &str, id: &str| Operation::get(format!("{base}{path}"), format!("{kind}{id}"), TAG);
    let changed =
        |path: &str, id: &str| post(format!("{base}{path}"), format!("{kind}{id}"), &json!({}));
    let of_region = |operation: Operation| operation.path_parameter("region", "A region's name.");
    [
        shown("/status", "SharedMemoryStatus"),
        of_region(shown("/region/{region}/status", "SharedMemoryRegionStatus")),
        of_region(changed("/region/{region}/register", "SharedMemoryRegister")),
        changed("/unregister", "SharedMemoryUnregisterAll"),
        of_region(changed(
            "/region/{region}/unregister",
            "SharedMemoryUnregister",
        )),
    ]
    .into_iter()
    .map(|operation| {
        operation
            .summary("Not offered: send tensors as binary data instead")
            .faults(&[501])
    })
    .collect()
}

fn post(path: String, id: String, body: &Value) -> Operation {
    let mut body = body.clone();
    body["type"] = "object".into();
    Operation::post(
        path,
        id,
        TAG,
        false,
        &json!({"application/json": {"schema": body}}),
    )
}

fn log_settings() -> Value {
    json!({
        "type": "object",
        "required": ["log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"],
        "properties": {
            "log_file": {"const": "", "description": "Standard error."},
            "log_info": {"type": "boolean"},
            "log_warning": {"type": "boolean"},
            "log_error": {"type": "boolean"},
            "log_verbose_level": {"type": "integer", "minimum": 0},
            "log_format": {"enum": ["json", "text"]},
        },
    })
}

/// The schemas of these documents.
pub(in crate::openapi) fn schemas() -> [(&'static str, Value); 3] {
    let whole = json!({"type": "integer", "minimum": 0});
    let tallies = |names: &[&str]| {
        let members: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), schema("Tally")))
            .collect();
        json!({"type": "object", "required": names, "properties": members})
    };
    let mut runs = tallies(&["compute_input", "compute_infer", "compute_output"]);
    runs["properties"]["batch_size"] = whole.clone();
    let requests = tallies(&[
        "success",
        "fail",
        "queue",
        "compute_input",
        "compute_infer",
        "compute_output",
        "cache_hit",
        "cache_miss",
    ]);
    let statistics = json!({
        "type": "object",
        "required": ["model_stats"],
        "properties": {"model_stats": {"type": "array", "items": {
            "type": "object",
            "required": ["name", "version", "last_inference", "inference_count", "execution_count", "inference_stats", "response_stats", "batch_stats", "memory_usage"],
            "properties": {
                "name": {"type": "string"},
                "version": {"type": "string"},
                "last_inference": {"type": "integer", "minimum": 0, "description": "Milliseconds since 1970; 0 for never."},
                "inference_count": {"type": "integer", "minimum": 0, "description": "Rows."},
                "execution_count": {"type": "integer", "minimum": 0, "description": "Runs of the model."},
                "inference_stats": requests,
                "response_stats": {"type": "object", "maxProperties": 0},
                "batch_stats": {"type": "array", "items": runs},
                "memory_usage": {"type": "array", "maxItems": 0},
            },
        }}},
    });
    let tally = json!({
        "type": "object",
        "required": ["count", "ns"],
        "properties": {"count": whole, "ns": {"type": "integer", "minimum": 0, "description": "Nanoseconds in all."}},
    });
    let tensors = json!({"type": "array", "items": {
        "type": "object",
        "required": ["name", "data_type", "dims"],
        "properties": {
            "name": {"type": "string"},
            "data_type": {"type": "string", "pattern": "^TYPE_"},
            "dims": {"type": "array", "items": {"type": "integer", "minimum": -1}},
            "optional": {"type": "boolean"},
        },
    }});
    let config = json!({
        "type": "object",
        "required": ["name", "platform", "backend", "version_policy", "max_batch_size", "input", "output"],
        "properties": {
            "name": {"type": "string"},
            "platform": {"type": "string"},
            "backend": {"type": "string"},
            "version_policy": {"type": "object"},
            "max_batch_size": whole,
            "input": tensors,
            "output": tensors,
            "dynamic_batching": {"type": "object"},
            "model_transaction_policy": {"type": "object"},
            "response_cache": {"type": "object"},
        },
    });
    [
        ("Statistics", statistics),
        ("Tally", tally),
        ("ModelConfig", config),
    ]
}
