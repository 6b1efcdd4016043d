//! The folder of models that stand in ConfigMaps: of this user alone, for as long as `serin run` lives.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const PREFIX: &str = "serin-run-";
/// Locked while the folder is in use.
const LOCK: &str = "lock";
/// The lock until it is held.
const NEW_LOCK: &str = "lock.new";

/// A folder that is removed at the end. One that a killed process has left is removed at the next start.
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes the folder in `parent`, after removing those of processes that are gone.
    ///
    /// # Errors
    /// `parent` cannot be written to.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        // Named as a lock once it is held: nobody finds one that is free while its process starts.
        let lock = File::create_new(folder.path().join(NEW_LOCK))?;
        lock.try_lock()?;
        fs::rename(folder.path().join(NEW_LOCK), folder.path().join(LOCK))?;
        let user = fs::metadata(folder.path())?.uid();
        for left in left_overs(parent, user) {
            let _ = fs::remove_dir_all(left);
        }
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Folders of this user whose process holds its lock no more. Others' are left alone, and so is what has no
/// lock: its process may be starting.
fn left_overs(parent: &Path, user: u32) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .filter(|path| {
            // Links are not followed.
            let folder = fs::symlink_metadata(path);
            let lock = fs::symlink_metadata(path.join(LOCK));
            folder.is_ok_and(|folder| folder.is_dir() && folder.uid() == user)
                && lock.is_ok_and(|lock| lock.is_file() && lock.uid() == user)
                && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_of_this_user_alone_and_goes_with_its_process() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path()).unwrap();
        let path = scratch.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let running = Scratch::new(parent.path()).unwrap();
        let killed = parent.path().join("serin-run-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("model.onnx"), "a model").unwrap();
        let starting = parent.path().join("serin-run-starting");
        fs::create_dir(&starting).unwrap();
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(LOCK), "").unwrap();
        let link = parent.path().join("serin-run-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let next = Scratch::new(parent.path()).unwrap();
        assert!(!killed.exists());
        for kept in [running.path(), next.path(), &starting, &other, &link] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }
}
