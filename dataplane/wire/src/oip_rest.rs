//! The Open Inference Protocol over REST: request bodies to tensors, replies to response bodies.
//!
//! A tensor's data is JSON or, by Triton's binary extension, bytes after the JSON, in requests and
//! responses.

mod document;
pub(crate) mod elements;
pub mod metadata;
pub mod model_config;
mod parameters;
mod raw_body;
pub mod repository;
mod request;
pub(crate) mod response;
pub mod settings;
pub(crate) mod size;
pub mod statistics;

use std::time::Duration;

use serin_core::types::{RequestedOutput, Tensor};

pub use raw_body::raw_request;
pub use request::{id_of, parse};
pub use response::{Answer, render};
pub use size::largest;

/// The header that gives the bytes of JSON at the start of the body.
pub const JSON_LENGTH_HEADER: &str = "inference-header-content-length";

/// The body of an inference request; the path names the model.
#[derive(Clone, Debug, PartialEq)]
pub struct InferRequest {
    /// The `id` to echo, if the caller gave one.
    pub id: Option<String>,
    /// The parameter `timeout`, if set.
    pub timeout: Option<Duration>,
    /// The parameter `priority`: 1 is highest, 0 the default.
    pub priority: u64,
    /// The inputs, in the order sent.
    pub inputs: Vec<Tensor>,
    /// The outputs asked for; empty for all.
    pub outputs: Vec<RequestedOutput>,
    /// The formats of the outputs.
    pub forms: Forms,
}

/// Which outputs are written as binary after the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// For listed outputs that do not say, and for all if none is listed.
    pub binary_by_default: bool,
    /// `binary_data` of each listed output.
    pub listed: Vec<Option<bool>>,
}

impl Forms {
    /// Whether any output may be binary.
    pub fn any_binary(&self) -> bool {
        self.binary_by_default || self.listed.contains(&Some(true))
    }

    /// Whether the output at this index of the response is binary.
    fn is_binary(&self, index: usize) -> bool {
        self.listed
            .get(index)
            .copied()
            .flatten()
            .unwrap_or(self.binary_by_default)
    }
}

#[cfg(test)]
mod tests;
