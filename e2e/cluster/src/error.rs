use std::{io, path::PathBuf, time::Duration};

/// What can go wrong with the cluster. Every message names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces, mounts and cgroups are root's.
    #[error(
        "the test cluster needs root (it makes namespaces, mounts and cgroups): run the same command as root, or set SERIN_E2E_KUBECONFIG to use a cluster of your own"
    )]
    NotRoot,
    /// A name that would not do as a folder, a cgroup and a part of a socket's path.
    #[error("cluster name {0:?}: use 1 to 24 of the characters a-z, 0-9 and '-'")]
    BadName(String),
    /// `SERIN_E2E_KUBECONFIG` points to nothing.
    #[error("SERIN_E2E_KUBECONFIG is {}, which is no file: set it to a kubeconfig, or unset it to use the cluster that `cargo xtask cluster up` starts", .0.display())]
    NoSuchKubeconfig(PathBuf),
    /// The state directory cannot be where it would be.
    #[error("{}: {reason}; set XDG_CACHE_HOME to another directory", path.display())]
    BadPlace {
        /// Where the state would be.
        path: PathBuf,
        /// Why it cannot be there.
        reason: &'static str,
    },
    /// A file or directory could not be read, written or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// read, write, remove...
        action: &'static str,
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program is not on the PATH.
    #[error("{program} is not installed: {cure}")]
    Missing {
        /// The program's name.
        program: String,
        /// What to do about it.
        cure: String,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A program did not end in its time and was killed.
    #[error("`{command}` did not end within {} s and was stopped:\n{output}", limit.as_secs())]
    TimedOut {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
        /// The end of what it wrote.
        output: String,
    },
    /// A component of the cluster ended or did not become ready.
    #[error("{component} {problem}; the end of its log ({}):\n{tail}", log.display())]
    Component {
        /// For example `kubelet`.
        component: String,
        /// What it did not do.
        problem: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Something of the cluster survived its end.
    #[error("{what} would not go away within {} s: {detail}", limit.as_secs())]
    Leftover {
        /// processes, cgroups...
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
        /// Which.
        detail: String,
    },
    /// No cluster of that name runs.
    #[error("cluster {0} is not up: start it with `cargo xtask cluster up`")]
    NotUp(String),
    /// An image cannot be built as asked.
    #[error("image {image}: {problem}")]
    Image {
        /// The image's name.
        image: String,
        /// What is wrong with the request.
        problem: String,
    },
}

/// The result of every call here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: names what was being done to which path.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
