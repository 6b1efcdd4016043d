//! Models: fetched, checked, loaded, and found by name.

mod address;
mod digest;
mod fetch;
mod load;
mod registry;
mod source;

use std::path::PathBuf;

pub use load::{Loaded, LoaderOptions, check};
pub use registry::{Registry, load_all};
pub use source::{SourceOptions, locate};

/// Why a model cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Trying again cannot help.
    pub permanent: bool,
    /// For people: the source, what is wrong with it, and what to do.
    pub message: String,
}

impl LoadError {
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self {
            permanent: true,
            message: message.into(),
        }
    }

    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self {
            permanent: false,
            message: message.into(),
        }
    }
}

/// A source within reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The model's file, or the folder that holds it.
    pub path: PathBuf,
    /// The source as the user wrote it, without a query: named in errors.
    pub shown: String,
}
