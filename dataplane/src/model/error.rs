//! Why a model cannot be loaded.

use std::time::Duration;

/// Why a model cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Trying again cannot help.
    pub permanent: bool,
    /// For those who run the process: the source, what is wrong with it, and what to do.
    pub message: String,
    /// For callers, where the message names files of the machine.
    pub summary: Option<&'static str>,
    /// The time after which a store asks for the next request.
    pub retry_after: Option<Duration>,
}

impl LoadError {
    pub(super) fn permanent(message: impl Into<String>) -> Self {
        Self {
            permanent: true,
            message: message.into(),
            summary: None,
            retry_after: None,
        }
    }

    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self {
            permanent: false,
            ..Self::permanent(message)
        }
    }

    /// The text for callers and probes.
    pub fn public(&self) -> String {
        self.summary
            .map_or_else(|| self.message.clone(), str::to_owned)
    }
}
