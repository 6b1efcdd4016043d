//! Why a command failed, in words that say what to do.

use serin_crds::manifest::{Problem, Problems};

use crate::runtime::RuntimeError;
use crate::terminal::{Tone, on_stderr};

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
    Engine(serin_engine::onnx::RuntimeError),
    /// The definition cannot be written as YAML.
    #[error("the CustomResourceDefinition cannot be written: {0}")]
    Definition(String),
    /// `--log` cannot be read.
    #[error("--log cannot be read: {0}; write a level (warn) or target=level pairs")]
    Log(String),
    /// Every service is suspended.
    #[error("there is nothing to serve: every service is suspended; remove spec.suspend from one")]
    AllSuspended,
    /// The data plane could not start or load.
    #[error(transparent)]
    Serve(#[from] serin_dataplane::ServeError),
    /// The system gives no threads or signal handlers.
    #[error("the system gives no threads or signals: {0}; raise its limits")]
    Threads(std::io::Error),
    /// No room for temporary files.
    #[error("no temporary folder can be made: {0}; make room there, or name another with TMPDIR")]
    Scratch(std::io::Error),
}

impl Failure {
    /// Writes it to standard error: one `error:` for each fault; of very many, the first ones.
    pub fn report(&self) {
        const SHOWN: usize = 50;
        let error = on_stderr(Tone::Error, "error:");
        let Self::Manifest(problems) = self else {
            eprintln!("{error} {self}");
            return;
        };
        for problem in problems.0.iter().take(SHOWN) {
            eprintln!("{error} {problem}");
        }
        if problems.0.len() > SHOWN {
            eprintln!("{error} and {} more", problems.0.len() - SHOWN);
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Manifest(problem.into())
    }
}
