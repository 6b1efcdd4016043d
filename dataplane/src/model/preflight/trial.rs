//! What is tried.

use std::path::PathBuf;

use crate::model::options::LoadBounds;
use serin_engine::{Artifact, Backend};

/// A model to be tried.
#[derive(Clone)]
pub(in crate::model) struct Trial<'a> {
    /// Opens it.
    pub(in crate::model) backend: &'a dyn Backend,
    pub(in crate::model) artifact: &'a Artifact,
    /// What the backend runs models with, where it needs a library.
    pub(in crate::model) runtime_library: Option<PathBuf>,
    /// The source as messages name it.
    pub(in crate::model) shown: &'a str,
    pub(in crate::model) bounds: LoadBounds,
    /// Threads within one operator.
    pub(in crate::model) threads: usize,
    /// Whether its rows may be merged, if that proves safe.
    pub(in crate::model) merging: bool,
}
