//! A model as files on this machine: what a backend opens.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::pinned::PinnedFolder;

/// Longer than any system's clock tick.
const TICKS: Duration = Duration::from_millis(50);

/// How often a file is looked at until it is left alone.
const SETTLING: usize = 20;

/// The files of one model, each as it was when it was found, in folders that are held open: what is hashed
/// and what is opened is in the same folder, whoever puts another in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// SHA-256 of the main file, `sha256:` and 64 hexadecimal digits; `None` until it is computed.
    pub digest: Option<String>,
    /// The folder that the source names, held open, or the file.
    place: PathBuf,
    main: ArtifactFile,
    /// Files that the main file refers to. Another process finds them by itself.
    #[serde(skip)]
    others: Vec<ArtifactFile>,
    /// The folders that its paths lead through. Another process follows the paths of this one.
    #[serde(skip)]
    folders: Vec<Arc<PinnedFolder>>,
}

/// A regular file, by a path through a folder that is held open, without links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ArtifactFile {
    path: PathBuf,
    stamp: Stamp,
}

/// What changes when a file is replaced or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) bytes: u64,
    /// Last change of content, name or rights, in seconds and nanoseconds; no program can set it.
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether `path` is still the file that has this stamp.
    pub(crate) fn is_of(&self, path: &Path) -> bool {
        path.symlink_metadata()
            .is_ok_and(|now| Self::of(&now) == *self)
    }
}

/// Why there is no model at a place. No text holds a path of this machine.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Nothing there.
    #[error("there is no such file")]
    Missing,
    /// A folder without a main file; the names that one may have.
    #[error("the folder has no {0}")]
    NoMainFile(String),
    /// It is a device, socket...
    #[error("it is not a regular file")]
    NotAFile,
    /// A link leads out of the folder.
    #[error("it is a link to outside of its folder; put the file itself there")]
    LinksOut,
    /// The system's error.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Artifact {
    /// The model at `place`: a file, or a folder that holds one of `main_files`, of which the first
    /// counts. Links inside the folder are followed (a ConfigMap's files are links).
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub fn find(place: &Path, main_files: &[&str]) -> Result<Self, ArtifactError> {
        let (_, path) = resolve(place, main_files)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ArtifactError::NotAFile);
        };
        let beside = Arc::new(PinnedFolder::open(folder)?);
        let mut folders = vec![Arc::clone(&beside)];
        let place = if !place.is_dir() {
            place.to_path_buf()
        } else if place.canonicalize()? == folder {
            beside.path().to_path_buf()
        } else {
            let place = Arc::new(PinnedFolder::open(place)?);
            folders.push(Arc::clone(&place));
            place.path().to_path_buf()
        };
        Ok(Self {
            digest: None,
            place,
            main: ArtifactFile::find(beside.path().join(name))?,
            others: Vec::new(),
            folders,
        })
    }

    /// Adds files that the main file refers to.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub fn add(&mut self, others: Vec<PathBuf>) -> Result<(), ArtifactError> {
        for path in others {
            self.others.push(ArtifactFile::find(path)?);
        }
        Ok(())
    }

    /// The folder that the source names, by a path that leads to it as long as this artifact lives; or the
    /// file.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Path of the main file, which leads to it as long as this artifact lives.
    pub fn main(&self) -> &Path {
        &self.main.path
    }

    /// Size of all its files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.stamp.bytes).sum()
    }

    /// Identifies the state of the files besides the main one, which the digest does not cover: differs
    /// between any two states of them.
    pub fn identity_of_others(&self) -> String {
        let text = |file: &ArtifactFile| {
            let Stamp {
                device,
                inode,
                bytes,
                changed: (seconds, nanoseconds),
            } = file.stamp;
            format!("{device}:{inode}:{bytes}:{seconds}.{nanoseconds};")
        };
        self.others.iter().map(text).collect()
    }

    /// Whether its files are still those that were found. Backends open files by name: asked after
    /// that, this says whether they opened the same ones.
    pub fn is_unchanged(&self) -> bool {
        self.files().all(|file| file.stamp.is_of(&file.path))
    }

    fn files(&self) -> impl Iterator<Item = &ArtifactFile> {
        std::iter::once(&self.main).chain(&self.others)
    }
}

impl ArtifactFile {
    fn find(path: PathBuf) -> Result<Self, ArtifactError> {
        let metadata = settled(&path)?;
        if !metadata.is_file() {
            return Err(ArtifactError::NotAFile);
        }
        Ok(Self {
            stamp: Stamp::of(&metadata),
            path,
        })
    }
}

/// The state of a file whose last change is some time ago. A change shows only in the time of the system's
/// clock tick: one in the tick of the last change would not be noticed.
fn settled(path: &Path) -> io::Result<Metadata> {
    for _ in 0..SETTLING {
        let metadata = path.symlink_metadata()?;
        let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::new(changed, nanos);
        let age = SystemTime::now().duration_since(changed);
        // A clock that is ahead, as a file server's may be, cannot be waited for.
        match TICKS.checked_sub(age.unwrap_or(TICKS)) {
            None | Some(Duration::ZERO) => return Ok(metadata),
            Some(rest) => std::thread::sleep(rest),
        }
    }
    Err(io::Error::other("it is being written to"))
}

/// The folder of a model and its main file, both canonical; the file is inside the folder.
pub(crate) fn resolve(
    place: &Path,
    main_files: &[&str],
) -> Result<(PathBuf, PathBuf), ArtifactError> {
    let is_folder = place.is_dir();
    let folder = if is_folder {
        place
    } else {
        match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    };
    let folder = canonical(folder)?.ok_or(ArtifactError::Missing)?;
    let file = if is_folder {
        let candidates = main_files.iter().map(|name| canonical(&place.join(name)));
        let found = candidates.filter_map(Result::transpose).next();
        let none = || ArtifactError::NoMainFile(main_files.join(" or "));
        found.unwrap_or_else(|| Err(none()))?
    } else {
        canonical(place)?.ok_or(ArtifactError::Missing)?
    };
    if !file.starts_with(&folder) {
        return Err(ArtifactError::LinksOut);
    }
    Ok((folder, file))
}

/// The canonical path; `None` where nothing is.
fn canonical(path: &Path) -> Result<Option<PathBuf>, ArtifactError> {
    match path.canonicalize() {
        Ok(path) => Ok(Some(path)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_model_by_the_first_main_file_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let find = || Artifact::find(folder.path(), &["model.a", "model.b"]);
        let none = find().unwrap_err();
        assert_eq!(none.to_string(), "the folder has no model.a or model.b");
        for name in ["model.b", "model.a"] {
            std::fs::write(folder.path().join(name), name).unwrap();
            let found = find().unwrap();
            assert_eq!(found.main().file_name().unwrap(), name);
            assert_eq!(found.bytes(), 7);
            assert_eq!(
                found.place().canonicalize().unwrap(),
                folder.path().canonicalize().unwrap()
            );
        }
    }

    #[test]
    fn every_file_of_a_model_counts_for_its_size_its_identity_and_its_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("m.onnx"), "model").unwrap();
        std::fs::write(at("weights"), "12345").unwrap();
        let found = || {
            let mut artifact = Artifact::find(&at("m.onnx"), &[]).unwrap();
            artifact.add(vec![at("weights")]).unwrap();
            artifact
        };
        let before = found();
        assert_eq!(before.bytes(), 10);
        assert!(before.is_unchanged());
        std::fs::write(at("new"), "12345").unwrap();
        std::fs::rename(at("new"), at("weights")).unwrap();
        assert!(!before.is_unchanged());
        assert_ne!(before.identity_of_others(), found().identity_of_others());
    }

    #[test]
    fn what_is_no_regular_file_is_none_of_a_models() {
        let folder = tempfile::tempdir().unwrap();
        let none = Artifact::find(Path::new("/dev/null"), &[]).unwrap_err();
        assert!(matches!(none, ArtifactError::NotAFile), "{none}");
        let missing = Artifact::find(&folder.path().join("a/b"), &[]).unwrap_err();
        assert!(matches!(missing, ArtifactError::Missing), "{missing}");
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("m")).unwrap();
        let out = Artifact::find(&folder.path().join("m"), &[]).unwrap_err();
        assert!(matches!(out, ArtifactError::LinksOut), "{out}");
    }
}
