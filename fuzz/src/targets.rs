//! Every target; a reader that strangers reach has one.

mod checks;
mod codings;
mod grpc;
mod json;
mod manifest;
mod names;
mod onnx;
mod openai;
mod rest;
mod streams;
mod tensors;
mod text;

use crate::Target;

/// All targets, in the order in which they run.
pub const TARGETS: &[Target] = &[
    json::DOCUMENT,
    json::INTEGER,
    rest::INFER,
    rest::ELEMENTS,
    tensors::RAW_TENSOR,
    tensors::RAW_REQUEST,
    grpc::INFER,
    streams::NDJSON,
    names::PATH,
    names::HEADERS,
    names::SOURCE,
    names::DURATION,
    codings::HEADERS,
    codings::INFLATE,
    openai::PREDICT,
    openai::EMBEDDINGS,
    openai::CONTROL,
    text::TOKENIZE,
    names::TRACE,
    onnx::GRAPH,
    onnx::MESSAGE,
    manifest::MANIFEST,
    manifest::POD_CONFIG,
];
