//! What loading models may use.

use std::path::PathBuf;
use std::time::Duration;

use super::memory;
use serin_engine::Backends;

/// What loading may use.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// How sources are fetched.
    pub source: SourceOptions,
    /// What opens models.
    pub backends: Backends,
    /// Threads within one operator of a model.
    pub threads: usize,
    /// What a model may take.
    pub bounds: LoadBounds,
}

/// What models may take, in memory and in time to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadBounds {
    /// Memory of all models of this process together, in bytes.
    pub memory: u64,
    /// How long a small model may take to load and to run once; large ones have a second more for
    /// each 16 MiB.
    pub timeout: Duration,
    /// Whether a model is tried in a child process first, where this program can be its own child
    /// (see [`super::enter_preflight`]).
    pub preflight: bool,
}

impl LoadBounds {
    /// The bounds of a program's options; `memory` derived from the container's limit where none
    /// is given.
    pub fn new(memory: Option<u64>, timeout: Duration, preflight: bool) -> Self {
        Self {
            memory: memory.unwrap_or_else(memory::for_models),
            timeout,
            preflight,
        }
    }
}

/// What fetching may use.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The folder to keep fetched files in.
    pub cache_dir: PathBuf,
    /// Largest file that is fetched, in bytes.
    pub max_bytes: u64,
    /// The process runs on its user's own machine: loopback and private addresses may be dialled.
    pub local_mode: bool,
    /// PEM file of certificate authorities that are trusted besides the built-in ones and the
    /// system's (which `SSL_CERT_FILE` names).
    pub extra_roots: Option<PathBuf>,
}
