//! Wire formats: each protocol turns bytes into a [`Call`](serin_core::types::Call), and a
//! [`Outputs`](serin_core::types::Outputs) or a [`Fault`](serin_core::fault::Fault) into bytes.
//!
//! Pure: no socket, no clock, no model. The fuzz targets call these modules directly.
#![forbid(unsafe_code)]

mod bounds;
pub mod content_coding;
pub mod control;
pub mod deadline;
pub mod docs_page;
pub mod errors;
pub mod example;
pub mod json;
pub mod kserve_v1;
pub mod members;
pub mod ndjson;
mod non_finite;
pub mod oip_grpc;
pub mod oip_rest;
pub mod openai;
pub mod openapi;
mod parameters;
mod place;
pub mod raw_tensor;
pub mod request_id;
pub mod sse;
