//! The Open Inference Protocol over REST: bytes to a call, a reply to bytes.
//!
//! The data of a tensor comes as JSON or, by Triton's binary extension, after the JSON; answers
//! likewise. Nothing here knows of sockets or headers but the ones named by the protocol.

pub mod document;
pub(crate) mod elements;
pub mod metadata;
pub mod model_config;
mod parameters;
mod raw_body;
pub mod repository;
mod request;
pub(crate) mod response;
pub mod statistics;

use std::time::Duration;

use serin_core::types::{RequestedOutput, Tensor};

pub use raw_body::raw_request;
pub use request::parse;
pub use response::{Answer, render};

/// The header that says how many bytes of the body are JSON.
pub const JSON_LENGTH_HEADER: &str = "inference-header-content-length";

/// An inference request as its body says it; the model is named by the path.
#[derive(Clone, Debug, PartialEq)]
pub struct InferRequest {
    /// The `id` to echo, if the caller gave one.
    pub id: Option<String>,
    /// How long the caller will wait, if it said so.
    pub timeout: Option<Duration>,
    /// 1 is highest, 0 the default.
    pub priority: u64,
    /// The inputs, in the order sent.
    pub inputs: Vec<Tensor>,
    /// The outputs asked for; empty for all.
    pub outputs: Vec<RequestedOutput>,
    /// How the outputs are to be written.
    pub forms: Forms,
}

/// Which outputs are written as binary after the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// For outputs that say nothing themselves, and for all when none are listed.
    pub binary_by_default: bool,
    /// What each listed output says.
    pub listed: Vec<Option<bool>>,
}

impl Forms {
    /// Whether any output may be binary.
    pub fn any_binary(&self) -> bool {
        self.binary_by_default || self.listed.contains(&Some(true))
    }

    /// Whether the output at this place of the answer is binary.
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
