//! The seam between formats of models and everything that loads them: a backend recognises the
//! files of its models and opens them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Engine;
use crate::artifact::Artifact;

/// Opens models of one kind.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Its name in configuration and between processes, `onnx`.
    fn name(&self) -> &'static str;

    /// The name of what runs its models, in messages: `ONNX Runtime`.
    fn runtime(&self) -> &'static str;

    /// Name of the main file of a model that is a folder.
    fn main_file(&self) -> &'static str;

    /// Whether the artifact looks like one of its models; cheap, and without opening it.
    fn recognises(&self, artifact: &Artifact) -> bool;

    /// The files that the artifact's main file refers to, checked as far as that is possible without
    /// running anything: all of them lie in the model's folder.
    ///
    /// # Errors
    /// [`OpenError::Unusable`].
    fn other_files(&self, artifact: &Artifact) -> Result<Vec<PathBuf>, OpenError>;

    /// The shared library that runs its models, as it would be found now; `None` where none is needed.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`].
    fn runtime_library(&self) -> Result<Option<PathBuf>, OpenError> {
        Ok(None)
    }

    /// Does ahead of time what opening the first model would do.
    fn prepare(&self) {}

    /// Opens a model.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(&self, artifact: &Artifact, options: &OpenOptions) -> Result<Opened, OpenError>;
}

/// How a model is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// It runs on a GPU, or is refused.
    pub gpu: bool,
    /// Threads within one operator; at least 1.
    pub threads: usize,
    /// Memory that the tensors and weights of all models of the process may take, in bytes. The
    /// first model that is opened decides for the process.
    pub memory: u64,
}

/// A model that can run.
pub struct Opened {
    /// Runs it.
    pub engine: Box<dyn Engine>,
    /// The protocols' name for the kind of model, `onnxruntime_onnx`.
    pub platform: &'static str,
    /// Names of the classes that its outputs score, in order, empty where the files have none; or why
    /// those that are there cannot be used.
    pub labels: Result<Vec<String>, String>,
}

/// Why a model is not opened. No text holds a path of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The files are no model of this backend, or may not be given to its runtime.
    #[error("{0}")]
    Unusable(String),
    /// The runtime refuses the model, or the model cannot be served.
    #[error("{0}")]
    Refused(String),
    /// The runtime cannot be used: nothing is known of the model.
    #[error("{message}")]
    Unavailable {
        /// For those who run the process; may name paths.
        message: String,
        /// For callers.
        summary: &'static str,
    },
    /// A file is not the one any more that was found.
    #[error("it was changed while it was being loaded")]
    Changed,
}

/// The backends of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Backends {
    first: Arc<dyn Backend>,
    more: Arc<[Arc<dyn Backend>]>,
}

impl Backends {
    /// A list of at least one backend, in the order in which they are asked.
    pub fn new(first: Arc<dyn Backend>, more: Vec<Arc<dyn Backend>>) -> Self {
        Self {
            first,
            more: more.into(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        std::iter::once(&self.first).chain(self.more.iter())
    }

    /// Names of the main files of models that are folders, in order.
    pub fn main_files(&self) -> Vec<&'static str> {
        self.iter().map(|backend| backend.main_file()).collect()
    }

    /// The first backend that recognises an artifact. What none recognises goes to the first of the
    /// list, which says what is wrong with it.
    pub fn of(&self, artifact: &Artifact) -> &Arc<dyn Backend> {
        self.iter()
            .find(|backend| backend.recognises(artifact))
            .unwrap_or(&self.first)
    }

    /// The backend of a name.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Backend>> {
        self.iter().find(|backend| backend.name() == name)
    }
}
