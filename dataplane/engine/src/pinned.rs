//! A folder that is held open: whoever renames it, or puts another in its place, changes nothing for who
//! reads through it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// A folder by its handle.
#[derive(Debug)]
pub(crate) struct PinnedFolder {
    /// Holds the folder; only its number is used.
    #[allow(dead_code, reason = "dropping it ends what the path leads to")]
    handle: OwnedFd,
    path: PathBuf,
}

impl PinnedFolder {
    /// Opens a folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = open(folder, flags, Mode::empty())?;
        // With the process's number, so that a child of it can follow the path too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd());
        Ok(Self {
            handle,
            path: path.into(),
        })
    }

    /// A path that leads into this very folder as long as it is held.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl PartialEq for PinnedFolder {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for PinnedFolder {}

/// Where `relative` really is below `folder`, by a path through `folder` without links.
///
/// # Errors
/// `Ok(None)` where it is outside; the system's error where it is not there.
pub(crate) fn below(folder: &Path, relative: &Path) -> io::Result<Option<PathBuf>> {
    let real = folder.join(relative).canonicalize()?;
    let root = folder.canonicalize()?;
    Ok(real
        .strip_prefix(&root)
        .ok()
        .map(|inside| folder.join(inside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_folder_is_the_same_one_whatever_takes_its_place() {
        let root = tempfile::tempdir().unwrap();
        let (good, evil) = (root.path().join("m"), root.path().join("evil"));
        for (folder, text) in [(&good, "good"), (&evil, "evil")] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("f"), text).unwrap();
        }
        let pinned = PinnedFolder::open(&good).unwrap();
        std::fs::rename(&good, root.path().join("away")).unwrap();
        std::fs::rename(&evil, &good).unwrap();
        assert_eq!(std::fs::read(pinned.path().join("f")).unwrap(), b"good");
        let inside = below(pinned.path(), Path::new("./f")).unwrap();
        assert_eq!(inside, Some(pinned.path().join("f")));
        assert_eq!(below(pinned.path(), Path::new("../m/f")).unwrap(), None);
    }
}
