use std::{io, path::PathBuf, time::Duration};

/// What can go wrong in a task. Every message names the place and, where there is one, the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program ended with an error. What it said was shown as it ran, or stands in `output`.
    #[error("`{command}` failed ({status}){}{output}", if output.is_empty() { "" } else { ":\n" })]
    Failed {
        command: String,
        status: String,
        output: String,
    },
    /// A program did not end in its time and was ended.
    #[error("`{command}` did not end within {} s and was stopped{}{output}", limit.as_secs(), if output.is_empty() { "" } else { ":\n" })]
    TimedOut {
        command: String,
        limit: Duration,
        output: String,
    },
    /// Something that the step needs is not on this machine.
    #[error("{what} is missing: {cure}")]
    Missing { what: String, cure: String },
    /// A file or directory could not be read, written or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A check found something wrong.
    #[error("{0}")]
    Wrong(String),
    /// The test cluster.
    #[error(transparent)]
    Cluster(#[from] serin_e2e_cluster::Error),
    /// SIGINT or SIGTERM came.
    #[error("stopped by a signal")]
    Interrupted,
}

pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: names what was being done to which path.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
