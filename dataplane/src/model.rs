//! Models: fetched, checked, loaded, and found by name.

mod address;
mod client;
mod default_version;
mod digest;
mod entry;
mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod load;
mod memory;
mod open;
mod preflight;
mod registry;
mod repository;
mod serving;
mod source;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use memory::for_bodies as memory_for_bodies;

pub use default_version::{DefaultVersionPolicy, VersionState, default_version};
pub use load::{LoadBounds, LoaderOptions};
pub use open::check;
pub use preflight::enter as enter_preflight;
pub use registry::{Registry, load_all};
pub use repository::Repository;
pub use serving::{Runner, ServingModel};
pub use source::{SourceOptions, file_path, locate};

/// Why a model cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Trying again cannot help.
    pub permanent: bool,
    /// For the one who runs the process: the source, what is wrong with it, and what to do.
    pub message: String,
    /// For callers, where the message names places of the machine that are no business of theirs.
    pub summary: Option<&'static str>,
    /// When a store asks to be asked again.
    pub retry_after: Option<Duration>,
}

impl LoadError {
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self {
            permanent: true,
            message: message.into(),
            summary: None,
            retry_after: None,
        }
    }

    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self {
            permanent: false,
            ..Self::permanent(message)
        }
    }

    /// What callers and probes are told.
    pub fn public(&self) -> String {
        self.summary
            .map_or_else(|| self.message.clone(), str::to_owned)
    }
}

/// A source within reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalArtifact {
    /// The model's file, or the folder that holds it.
    pub path: PathBuf,
    /// The source as the user wrote it, without a query: named in errors.
    pub shown: String,
}
