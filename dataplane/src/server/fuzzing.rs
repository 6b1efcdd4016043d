//! The readers of this folder, for fuzz targets.

use http::HeaderValue;

use serin_core::fault::Fault;
use serin_core::types::ModelRef;

/// The model that a path names.
///
/// # Errors
/// A percent-escape that is none.
pub fn model_of(path: &str) -> Result<ModelRef, Fault> {
    super::path::model_of(path)
}

/// The bytes of JSON that `Inference-Header-Content-Length` announces.
///
/// # Errors
/// A value that is no number within the body.
pub fn json_length(header: Option<&HeaderValue>, body: usize) -> Result<Option<usize>, Fault> {
    super::http::infer::json_length(header, body)
}
