//! Where the cluster keeps its things.
//!
//! ```text
//! ${XDG_CACHE_HOME:-~/.cache}/serin/cluster/
//!   bin/<key>/         the programs, built once; key: Go version and everything under go/
//!   packages/<key>/    Debian packages unpacked for the images' base
//!   images/            image archives
//!   run/<name>.lock    held while a cluster is started or stopped
//!   run/<name>/        one cluster's state; gone after `down`
//! ```
use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A Unix socket's path has at most 107 bytes; containerd adds `.ttrpc` to ours.
const LONGEST_SOCKET: usize = 107;

/// Inside the sandbox these are replaced by empty ones, so that what the kubelet, CNI and containerd write there is gone with it.
pub(crate) const HIDDEN_IN_SANDBOX: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// The paths of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) name: String,
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(name: &str) -> Result<Self> {
        Self::under(cache_root()?, name)
    }

    fn under(root: PathBuf, name: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 24 || !name.chars().all(allowed) {
            return Err(Error::BadName(name.into()));
        }
        let layout = Self {
            name: name.into(),
            root,
        };
        let socket = layout.containerd_socket();
        if socket.as_os_str().len() + ".ttrpc".len() > LONGEST_SOCKET {
            return Err(Error::BadPlace {
                path: socket,
                reason: "the path is too long for a Unix socket",
            });
        }
        if HIDDEN_IN_SANDBOX
            .iter()
            .any(|hidden| layout.root.starts_with(hidden))
        {
            return Err(Error::BadPlace {
                path: layout.root,
                reason: "the cluster has its own, empty /run, /var/lib and /var/log",
            });
        }
        Ok(layout)
    }

    /// Shared by all clusters.
    pub(crate) fn cache(&self) -> &Path {
        &self.root
    }

    /// This cluster's directory. Everything in it goes with `down`.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("run").join(&self.name)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("run").join(format!("{}.lock", self.name))
    }

    /// The program whose process holds the namespaces. The path is how that process is found again.
    pub(crate) fn holder(&self) -> PathBuf {
        self.state().join("holder")
    }

    /// Written last: the cluster was complete once. Holds the directory of its programs.
    pub(crate) fn complete(&self) -> PathBuf {
        self.state().join("complete")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.state().join("pki")
    }

    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.state().join("log").join(format!("{component}.log"))
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.state().join("log/audit.jsonl")
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.state().join(format!("{user}.kubeconfig"))
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.state().join("containerd.sock")
    }
}

/// `${XDG_CACHE_HOME:-~/.cache}/serin/cluster`.
pub(crate) fn cache_root() -> Result<PathBuf> {
    let from = |variable: &str| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("serin/cluster"))
        .ok_or_else(|| Error::BadPlace {
            path: PathBuf::new(),
            reason: "neither XDG_CACHE_HOME nor HOME is an absolute path",
        })
}

/// Makes a directory and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).map_err(Error::file("write", path))
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// Removes a directory with all it holds; one that is not there is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::file("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_safe_path_is_refused() {
        for name in [
            "",
            "..",
            "a/b",
            "Upper",
            "space here",
            "a-name-of-far-too-many-characters",
        ] {
            assert!(
                matches!(Layout::under("/c".into(), name), Err(Error::BadName(_))),
                "{name:?}"
            );
        }
        assert!(Layout::under("/c".into(), "serin-e2e").is_ok());
    }

    #[test]
    fn a_place_whose_socket_path_would_be_too_long_is_refused() {
        let long = PathBuf::from(format!("/{}", "x".repeat(80)));
        assert!(matches!(
            Layout::under(long, "serin-e2e"),
            Err(Error::BadPlace { .. })
        ));
    }

    #[test]
    fn a_place_that_the_sandbox_hides_is_refused() {
        assert!(matches!(
            Layout::under("/var/lib/ci/.cache".into(), "a"),
            Err(Error::BadPlace { .. })
        ));
    }
}
