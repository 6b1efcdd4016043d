//! Inference, typed by the model's signature.

use serde_json::{Value, json};

use crate::oip_rest::JSON_LENGTH_HEADER;
use crate::openapi::at::At;
use crate::openapi::operation::{Operation, schema};
use crate::{deadline, example};

/// Elements of an input above which the document has no example.
const MAX_ELEMENTS: usize = 1024;

const TAG: &str = "Inference";

/// The header is documented here: as a parameter of the operation it would apply to JSON bodies too.
const BINARY: &str = "JSON, and after it the data of the inputs that have `parameters.binary_data_size` instead of `data`, in their order, little-endian, each \
element of BYTES after its length as four bytes. The header `Inference-Header-Content-Length` then says how many bytes are JSON. With the value 0 the whole body is the data of the model's only input.";

pub(super) fn operations(at: &At<'_>) -> Vec<Operation> {
    let infer = timeout_header(Operation::post(
        format!("{}/infer", at.base),
        format!("infer_{}", at.suffix),
        TAG,
        true,
        &request_content(at),
    ))
    .summary("Runs the model")
    .about("`Content-Type` may be absent or anything; what it says is not what decides how the body is read.")
    .answer(
        200,
        "The outputs; as binary data after the JSON where that was asked for.",
        &json!({
            "application/json": {"schema": schema(&format!("{}.InferResponse", at.key))},
            "application/octet-stream": {"schema": {"description": "JSON, and after it the data of the outputs that have `parameters.binary_data_size`."}},
        }),
    )
    .answer_header(200, JSON_LENGTH_HEADER, "JsonLength")
    .faults(&[404, 501, 504]);
    vec![infer]
}

/// The caller's budget.
pub(super) fn timeout_header(operation: Operation) -> Operation {
    operation.request_header(
        deadline::HEADER.as_str(),
        "How long you wait for an answer: seconds, or with a unit (`250ms`). The least counts of this, of the request's own `timeout` where it has one, and of the server's limit.",
        &json!({"type": "string", "pattern": "^([0-9]*[1-9][0-9]*(\\.[0-9]*)?|[0-9]*\\.[0-9]*[1-9][0-9]*)(us|ms|s|m)?$"}),
    )
}

fn request_content(at: &At<'_>) -> Value {
    let mut json = json!({"schema": schema(&format!("{}.InferRequest", at.key))});
    if let Some(example) = example::request(&at.model.signature, MAX_ELEMENTS) {
        // Structs of strings and numbers: they are always a value.
        json["example"] = serde_json::to_value(example).unwrap_or_default();
    }
    json!({
        "application/json": json,
        "application/octet-stream": {"schema": {"description": BINARY}},
    })
}
