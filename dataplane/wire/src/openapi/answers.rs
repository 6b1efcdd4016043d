//! Components shared by responses: error bodies from the closed list of codes, headers, and schemas
//! that do not depend on a model.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operation::schema;
use super::paths::{control, openai};
use super::signature;
use crate::errors::PROBLEM_JSON;
use serin_core::fault::{CODES, FaultKind};

/// The error responses, each with its possible codes: `Fault{status}`, and `OpenAiFault{status}` in
/// OpenAI's form.
pub(super) fn responses() -> Map<String, Value> {
    let response = |(status, openai): (u16, bool)| {
        let name = format!("{}Fault{status}", if openai { "OpenAi" } else { "" });
        let body = if openai {
            json!({"schema": schema("OpenAiError")})
        } else {
            json!({"schema": schema(&name)})
        };
        let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/RequestId"}});
        for (name, header) in more_headers(status) {
            headers[*name] = json!({"$ref": format!("#/components/headers/{header}")});
        }
        let mut response = json!({
            "description": meaning(status),
            "headers": headers,
            "content": {"application/json": body},
        });
        if !openai {
            response["content"][PROBLEM_JSON] = body;
        }
        (name, response)
    };
    let statuses = codes_by_status().into_keys();
    statuses
        .flat_map(|status| [(status, false), (status, true)])
        .map(response)
        .collect()
}

fn codes_by_status() -> BTreeMap<u16, Vec<&'static str>> {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (code, kind) in CODES {
        if *kind != FaultKind::Cancelled {
            by_status.entry(kind.http_status()).or_default().push(code);
        }
    }
    by_status
}

const fn more_headers(status: u16) -> &'static [(&'static str, &'static str)] {
    match status {
        405 => &[("Allow", "Allow")],
        415 => &[("Accept-Encoding", "AcceptEncoding")],
        503 => &[
            ("Retry-After", "RetryAfter"),
            ("retry-after-ms", "RetryAfterMs"),
        ],
        501 => &[("x-should-retry", "ShouldRetry")],
        _ => &[],
    }
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read, or does not fit the model.",
        403 => "Not open to this caller.",
        404 => "No such path, model or version.",
        405 => "The path has other methods.",
        408 => "The body comes too slowly.",
        413 => "The body is too large.",
        415 => "A content coding that is not understood.",
        500 => "The model failed on these inputs, or the server failed.",
        501 => "A known feature that is not offered here.",
        503 => "Overloaded, loading or stopping: come back later.",
        504 => "The deadline passed.",
        _ => "Refused.",
    }
}

/// Headers of responses.
pub(super) fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "Identifies the request in the server's log.",
            "required": true,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
        },
        "RetryAfter": {"description": "Seconds to wait.", "required": true, "schema": {"type": "integer", "minimum": 1}},
        "RetryAfterMs": {"description": "Milliseconds to wait.", "required": true, "schema": {"type": "integer", "minimum": 0}},
        "ShouldRetry": {"description": "`false`: the answer would be the same.", "schema": {"const": "false"}},
        "AcceptEncoding": {"description": "The codings that are understood.", "required": true, "schema": {"type": "string"}},
        "Allow": {"description": "The methods that the path has.", "required": true, "schema": {"type": "string"}},
        "JsonLength": {"description": "Bytes of JSON before the binary data, uncompressed.", "schema": {"type": "integer", "minimum": 0}},
        "ETag": {"description": "Send it back as `If-None-Match`.", "required": true, "schema": {"type": "string"}},
    })
}

/// Schemas that do not depend on a model.
pub(super) fn schemas() -> Map<String, Value> {
    let error = json!({
        "type": "object",
        "required": ["error", "code", "request_id"],
        "properties": {
            "error": {"type": "string", "description": "For people: the place, the value and the cure."},
            "code": {"type": "string", "description": "Stable: act on it."},
            "request_id": {"type": "string"},
            "param": {"type": "string", "description": "The member at fault."},
            "type": {"type": "string", "description": "These five (RFC 9457) only where `Accept` lists `application/problem+json`."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
        },
    });
    let openai_error = json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The member at fault."},
                "code": {"type": ["string", "null"]},
            },
        }},
    });
    let health = json!({
        "type": "object",
        "required": ["live"],
        "properties": {
            "live": {"type": "boolean"},
            "ready": {"type": "boolean"},
            "status": {"const": "alive", "description": "At / only, for KServe's first protocol."},
            "error": {"type": "string", "description": "Why it is not ready."},
        },
    });
    let tensor = json!({
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": schema("Datatype"),
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}, "description": "-1 for a variable dimension."},
        },
    });
    let faults = codes_by_status().into_iter().map(|(status, codes)| {
        let schema = json!({"allOf": [schema("Error")], "properties": {"code": {"enum": codes}}});
        (format!("Fault{status}"), schema)
    });
    let datatypes = serin_core::types::Datatype::ALL.map(serin_core::types::Datatype::as_str);
    [
        ("Error", error),
        ("OpenAiError", openai_error),
        ("Health", health),
        ("TensorMetadata", tensor),
        ("Datatype", json!({"type": "string", "enum": datatypes})),
        ("RequestParameters", signature::parameters()),
        ("OutputParameters", signature::output_parameters()),
    ]
    .into_iter()
    .chain(control::schemas())
    .chain(openai::schemas())
    .map(|(name, schema)| (name.to_owned(), schema))
    .chain(faults)
    .collect()
}
