//! Why a command failed, in words that say what to do.

use serin_crds::manifest::{Problem, Problems};

use crate::runtime::RuntimeError;

/// The end of a command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Manifests that a cluster would refuse, or that name models that are not there.
    #[error(transparent)]
    Manifest(#[from] Problems),
    /// ONNX Runtime cannot be had.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// ONNX Runtime cannot be opened.
    #[error(transparent)]
    Engine(serin_dataplane::engine::onnx::RuntimeError),
    /// The definition cannot be written as YAML.
    #[error("the CustomResourceDefinition cannot be written: {0}")]
    Definition(String),
    /// No room for temporary files.
    #[error("no temporary folder can be made: {0}; make room there, or name another with TMPDIR")]
    Scratch(std::io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Manifest(problem.into())
    }
}
