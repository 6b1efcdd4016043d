//! The engine that runs ONNX models with ONNX Runtime, through the `ort` crate.
//!
//! Nothing outside this folder names `ort`. A model's file passes [`file`] (where it is, what it
//! refers to) before the runtime sees it.

mod backend;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod labels;
mod message;
mod options;
mod protobuf;
mod raw;
mod reopen;
mod rows;
mod runtime;
mod session;
mod signature;
mod silence;
mod topology;
mod value;

pub use backend::OnnxBackend;
pub use file::{FileError, ModelFile};
pub use options::{Device, SessionOptions};
pub use runtime::{MINIMUM_VERSION, PINNED_VERSION, Runtime, RuntimeError, cache_path};
pub use session::{OnnxEngine, OpenError};
pub use silence::silence_runtime;
