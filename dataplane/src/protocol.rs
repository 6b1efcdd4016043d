//! Wire formats: each protocol turns bytes into a [`Call`](crate::types::Call) and a
//! [`Reply`](crate::types::Reply) or [`Fault`](crate::fault::Fault) into bytes.

pub(crate) mod body_budget;
mod bounds;
pub(crate) mod content_coding;
pub(crate) mod control;
pub(crate) mod deadline;
pub(crate) mod docs_page;
pub mod errors;
pub mod example;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod in_order;
mod json;
pub(crate) mod kserve_v1;
mod members;
pub(crate) mod ndjson;
mod non_finite;
pub mod oip_grpc;
pub(crate) mod oip_rest;
pub(crate) mod openai;
pub(crate) mod openapi;
mod parameters;
mod place;
mod raw_tensor;
pub(crate) mod request_id;
pub(crate) mod settings;
pub(crate) mod sse;
