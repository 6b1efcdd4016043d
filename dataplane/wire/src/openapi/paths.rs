//! Every operation, by group; a test compares them with the router's table.

pub(super) mod control;
mod docs;
mod infer;
mod models;
pub(super) mod openai;
mod server;
mod stream;

use super::at::At;
use super::operation::Operation;
use serin_core::types::ModelDescription;

/// The operations without a model in their path.
pub(super) fn of_server(models: &[ModelDescription]) -> Vec<Operation> {
    [
        server::operations(),
        models::list(),
        docs::of_server(),
        control::of_server(),
        openai::of_server(models),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The operations of one model under one address.
pub(super) fn of_model(at: &At<'_>) -> Vec<Operation> {
    [
        infer::operations(at),
        stream::operations(at),
        models::of_model(at),
        docs::of_model(at),
        control::of_model(at),
        openai::of_model(at),
    ]
    .into_iter()
    .flatten()
    .collect()
}
