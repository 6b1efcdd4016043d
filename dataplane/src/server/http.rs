//! Everything over HTTP that is neither gRPC nor a stream.

pub(super) mod answer;
pub(super) mod body;
pub(super) mod compress;
mod control;
mod control_request;
pub(super) mod counted;
mod docs;
mod embeddings;
pub(super) mod health;
pub(super) mod infer;
mod models;
pub(super) mod openai;
mod openai_models;
mod predict;
pub(super) mod routes;
pub(super) mod settings;
