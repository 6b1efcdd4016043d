//! The readers of this folder, for fuzz targets.

use std::time::Duration;

use super::proto::{InferTensorContents, ModelInferRequest};
use super::{request, survey, typed};
use crate::config::Limits;
use crate::fault::Fault;
use crate::types::{ModelRef, Tensor};

/// The model, the id and the memory of a message that has not been read.
///
/// # Errors
/// What the caller is told.
pub fn survey(message: &[u8], limits: &Limits) -> Result<(ModelRef, String, usize), Fault> {
    survey::survey(message, limits).map(|survey| (survey.model, survey.id, survey.memory))
}

/// The inputs of a message.
///
/// # Errors
/// What the caller is told.
pub fn inputs(message: ModelInferRequest, limits: &Limits) -> Result<Vec<Tensor>, Fault> {
    request::decode(message, limits).map(|decoded| decoded.inputs)
}

/// A tensor as a typed list; `None` where its datatype has none.
pub fn typed_contents(tensor: &Tensor) -> Option<InferTensorContents> {
    typed::encode(tensor)
}

/// The value of `grpc-timeout`.
pub fn timeout(value: &str) -> Option<Duration> {
    super::timeout_header(value)
}
