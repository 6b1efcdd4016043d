//! The OpenAPI documents and the pages for people.

use serde_json::{Value, json};

use crate::openapi::at::At;
use crate::openapi::operation::Operation;

const TAG: &str = "Server";

pub(super) fn of_server() -> Vec<Operation> {
    let documents = [
        ("/openapi.json", "openapi"),
        ("/v2/docs/dataplane.json", "dataplane"),
    ];
    let mut operations: Vec<Operation> = documents
        .into_iter()
        .map(|(path, id)| {
            cached(
                Operation::get(path, id, TAG)
                    .summary("This document")
                    .answer(200, "OpenAPI 3.1.", &document()),
            )
        })
        .collect();
    operations.push(page("/docs", "docs", "A page that lists the models"));
    operations
}

pub(super) fn of_model(at: &At<'_>) -> Vec<Operation> {
    let own = Operation::get(
        format!("{}/docs/dataplane.json", at.base),
        format!("openapi_{}", at.suffix),
        TAG,
    )
    .summary("The part of this document that is about the model")
    .answer(200, "OpenAPI 3.1.", &document())
    .faults(&[404, 503]);
    let path = at.base.trim_start_matches("/v2");
    let pages = [
        (format!("{}/docs", at.base), "page"),
        (format!("/docs{path}"), "docs"),
    ];
    let pages = pages.map(|(path, id)| {
        page(
            path,
            format!("{id}_{}", at.suffix),
            "A page to try the model on",
        )
        .faults(&[404, 503])
    });
    [cached(own)].into_iter().chain(pages).collect()
}

fn document() -> Value {
    json!({"application/json": {"schema": {
        "type": "object",
        "required": ["openapi", "info", "paths"],
    }}})
}

fn page(path: impl Into<String>, id: impl Into<String>, summary: &'static str) -> Operation {
    Operation::get(path, id, TAG).summary(summary).answer(
        200,
        "HTML, complete in itself.",
        &json!({"text/html": {"schema": {"type": "string"}}}),
    )
}

/// Adds the headers for caching the document.
fn cached(operation: Operation) -> Operation {
    operation
        .answer_header(200, "ETag", "ETag")
        .answer(
            304,
            "The document is still the one that `If-None-Match` names.",
            &Value::Null,
        )
        .request_header(
            "If-None-Match",
            "The `ETag` of the document that is there already.",
            &json!({"type": "string"}),
        )
}
