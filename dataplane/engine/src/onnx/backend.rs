//! Opens ONNX files with ONNX Runtime.

use std::path::PathBuf;

use super::file::{FileError, MAIN_FILE, ModelFile};
use super::options::{Device, SessionOptions};
use super::runtime::{Runtime, RuntimeError};
use super::session::OnnxEngine;
use crate::artifact::Artifact;
use crate::backend::{Backend, OpenError, OpenOptions, Opened};

/// Triton's name for models of ONNX Runtime.
const PLATFORM: &str = "onnxruntime_onnx";

/// The backend of ONNX models.
#[derive(Clone, Debug)]
pub struct OnnxBackend {
    runtime_library: Option<PathBuf>,
}

impl OnnxBackend {
    /// Runs models with this library of ONNX Runtime; without one, with the library that
    /// [`Runtime::open`] finds.
    pub fn new(runtime_library: Option<PathBuf>) -> Self {
        Self { runtime_library }
    }
}

impl Backend for OnnxBackend {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn runtime(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn main_file(&self) -> &'static str {
        MAIN_FILE
    }

    fn recognises(&self, artifact: &Artifact) -> bool {
        let extension = artifact.main().extension();
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
    }

    fn other_files(&self, artifact: &Artifact) -> Result<Vec<PathBuf>, OpenError> {
        let file = ModelFile::check_pinned(artifact.main()).map_err(unusable)?;
        Ok(file.weights().map(PathBuf::from).collect())
    }

    fn runtime_library(&self) -> Result<Option<PathBuf>, OpenError> {
        let found = Runtime::find(self.runtime_library.as_deref()).map_err(unavailable)?;
        Ok(Some(found))
    }

    fn prepare(&self) {
        // Where this fails, the error of opening a model says why.
        let _ = Runtime::open(self.runtime_library.as_deref());
    }

    fn open(&self, artifact: &Artifact, options: &OpenOptions) -> Result<Opened, OpenError> {
        let file = ModelFile::check_pinned(artifact.main()).map_err(unusable)?;
        let runtime = Runtime::open(self.runtime_library.as_deref()).map_err(unavailable)?;
        runtime.bound_memory(options.memory);
        let session = SessionOptions {
            device: if options.gpu {
                Device::Cuda
            } else {
                Device::Cpu
            },
            threads: options.threads,
        };
        let engine = OnnxEngine::open(&runtime, &file, session)
            .map_err(|error| OpenError::Refused(error.to_string()))?;
        // The runtime opens the model and its weights by name: they must be those that were checked.
        file.unchanged().map_err(|_| OpenError::Changed)?;
        Ok(Opened {
            engine: Box::new(engine),
            platform: PLATFORM,
            labels: file.labels(),
        })
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn unusable(error: FileError) -> OpenError {
    OpenError::Unusable(error.to_string())
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn unavailable(error: RuntimeError) -> OpenError {
    OpenError::Unavailable {
        message: error.to_string(),
        summary: "ONNX Runtime cannot be used; the log says why and what to do",
    }
}
