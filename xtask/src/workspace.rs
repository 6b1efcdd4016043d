//! Where things are.
use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The repository's root.
pub fn root() -> PathBuf {
    // Fixed at compile time: cargo builds this program in the workspace that it serves.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// `${XDG_CACHE_HOME:-~/.cache}/serin`: what outlives a `cargo clean` and is shared by checkouts.
pub fn cache() -> Result<PathBuf> {
    let absolute = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("serin"))
        .ok_or_else(|| Error::Missing {
            what: "a cache directory".into(),
            cure: "set HOME or XDG_CACHE_HOME to an absolute path".into(),
        })
}

/// Continuous integration runs this: nothing may be left running.
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// The files that git tracks or would track, relative to the root, sorted.
pub fn files() -> Result<Vec<PathBuf>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = crate::process::output(&mut git, std::time::Duration::from_secs(30))?;
    let mut files: Vec<PathBuf> = output
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        // Deleted and not yet committed.
        .filter(|path| root().join(path).exists())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
