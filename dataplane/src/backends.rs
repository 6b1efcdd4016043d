//! The backends that this program has. Nothing else of the crate names one.

use std::path::PathBuf;
use std::sync::Arc;

use serin_engine::Backends;
use serin_engine::onnx::OnnxBackend;

/// All of them. `runtime_library` is the library of ONNX Runtime; looked for in the usual places
/// when absent.
pub fn all(runtime_library: Option<PathBuf>) -> Backends {
    Backends::new(Arc::new(OnnxBackend::new(runtime_library)), Vec::new())
}
