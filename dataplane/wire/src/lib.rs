//! Wire formats: each protocol turns bytes into a [`Call`](serin_core::types::Call), and a
//! [`Outputs`](serin_core::types::Outputs) or a [`Fault`](serin_core::fault::Fault) into bytes.
//!
//! Every function is pure: no socket, no runtime, no model, and no clock except for the timestamp
//! of a new [`request_id`]. Without the feature `service` no dependency reaches a runtime either. The
//! fuzz targets call these modules directly.
//!
//! | module | protocol |
//! |---|---|
//! | [`oip_rest`], [`oip_grpc`] | Open Inference Protocol, with Triton's extensions |
//! | [`openai`] | OpenAI: embeddings, models |
//! | [`kserve_v1`] | KServe's first protocol, `:predict` |
//! | [`openapi`], [`docs_page`] | the description of all of it, for tools and for people |
//!
//! The other modules are shared by these: [`json`] and [`raw_tensor`] read tensors, [`sse`] and
//! [`ndjson`] frame streams, [`errors`] renders faults, [`content_coding`] and [`deadline`] read
//! headers, [`control`] holds what the control interfaces of REST and gRPC have in common.
#![forbid(unsafe_code)]

mod bounds;
pub mod content_coding;
pub mod control;
pub mod deadline;
pub mod docs_page;
pub mod errors;
pub mod example;
mod field_path;
pub mod json;
pub mod kserve_v1;
mod members;
pub mod ndjson;
mod non_finite;
pub mod oip_grpc;
pub mod oip_rest;
pub mod openai;
pub mod openapi;
mod parameters;
mod path;
pub mod raw_tensor;
pub mod request_id;
pub mod room;
pub mod sse;

pub use parameters::RequestParameters;
