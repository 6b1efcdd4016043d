//! Streams of requests and responses.

use serde_json::{Value, json};

use super::infer::timeout_header;
use crate::openapi::at::At;
use crate::openapi::operation::{Operation, schema};
use crate::{ndjson, sse};

const TAG: &str = "Inference";

const ABOUT: &str = "A body of `application/x-ndjson` is one request on each line; each is answered by a line, in their order, while the body still comes: read while you \
send. Any other body is one request, whose answer is an event. `Accept` with `text/event-stream` or `application/x-ndjson` says which form the answers take. What is wrong with a line is that line's answer. \
Outputs are JSON.";

const SOCKET: &str = "With `Upgrade: websocket`: every text message is a request, every answer a text message, in their order.";

pub(super) fn operations(at: &At<'_>) -> Vec<Operation> {
    let path = format!("{}/infer_stream", at.base);
    // Binary data has no place in lines and events.
    let no_binary = json!({"properties": {
        "parameters": {"properties": {"binary_data_output": {"const": false}}},
        "outputs": {"items": {"properties": {"parameters": {"properties": {"binary_data": {"const": false}}}}}},
    }});
    let request = json!({"allOf": [schema(&format!("{}.InferRequest", at.key)), no_binary]});
    let text = |about: &str| json!({"schema": {"type": "string", "description": about}});
    let mut body = json!({"application/json": {"schema": request}});
    body[ndjson::CONTENT_TYPE] = text("One request on each line.");
    let mut answers = json!({});
    answers[ndjson::CONTENT_TYPE] = text("One answer or error on each line.");
    // Without a type, as tools differ on whether it is that of the text or of one event.
    answers[essence(sse::CONTENT_TYPE)] =
        json!({"schema": {"description": "One answer or error in each event."}});
    let rows = timeout_header(Operation::post(
        path.clone(),
        format!("infer_stream_{}", at.suffix),
        TAG,
        true,
        &body,
    ))
    .summary("Runs the model on a stream of requests")
    .about(ABOUT)
    .answer(200, "The answers, as they come.", &answers)
    .faults(&[404, 501, 504]);
    let socket = Operation::get(path, format!("infer_socket_{}", at.suffix), TAG)
        .summary("Runs the model on the messages of a WebSocket")
        .about(SOCKET)
        .answer(101, "The WebSocket is open.", &Value::Null)
        .faults(&[403, 404, 405, 503]);
    vec![rows, socket]
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or(content_type)
}
