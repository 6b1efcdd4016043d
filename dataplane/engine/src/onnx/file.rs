//! A model's file, checked before ONNX Runtime sees it: models are untrusted programs.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use super::graph::{GraphError, GraphFile};
use super::labels;
use crate::artifact::{ArtifactError, Stamp, resolve};
use crate::pinned::{PinnedFolder, below};

/// A file that may be given to the runtime: a regular file inside its own folder, an ONNX model by
/// its structure, referring to no file outside that folder.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    graph: GraphFile,
    /// It and its weights as they were when they were checked.
    parts: Vec<(PathBuf, Stamp)>,
    /// Links and folders on the way to its weights.
    ways: Vec<(PathBuf, Stamp)>,
    /// Held for as long as the paths are used, where no artifact holds it.
    folder: Option<PinnedFolder>,
}

/// The name of the model's file in a folder.
pub(super) const MAIN_FILE: &str = "model.onnx";

/// Longest name of a weights file, in bytes: the system's own limit for paths.
const LONGEST_LOCATION: usize = 4096;

/// Why a file may not be given to the runtime. No text holds a path of this machine.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing there.
    #[error("there is no such file")]
    Missing,
    /// A folder without the expected file.
    #[error("the folder has no model.onnx")]
    NoModelInFolder,
    /// It is a device, socket...
    #[error("it is not a regular file")]
    NotAFile,
    /// A link leads out of the folder.
    #[error("it is a link to outside of its folder; put the file itself there")]
    LinksOut,
    /// Not ONNX.
    #[error("it is not an ONNX model: {0}")]
    NotOnnx(String),
    /// A reference to a weights file that is refused.
    #[error("it keeps weights in '{location}', which {why}")]
    ExternalData {
        /// As the model spells it.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is not the file any more that was checked.
    #[error("it was changed while it was being loaded")]
    Changed,
    /// The system's error.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl From<ArtifactError> for FileError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Missing => Self::Missing,
            ArtifactError::NoMainFile(_) => Self::NoModelInFolder,
            ArtifactError::NotAFile => Self::NotAFile,
            ArtifactError::LinksOut => Self::LinksOut,
            ArtifactError::Io(error) => Self::Io(error),
        }
    }
}

impl ModelFile {
    /// Checks `path`: a file, or a folder that holds `model.onnx`. Links inside the folder are
    /// followed (a ConfigMap's files are links), links out of it are refused.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn check(path: &Path) -> Result<Self, FileError> {
        let (_, file) = resolve(path, &[MAIN_FILE])?;
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(FileError::NotAFile);
        };
        let folder = PinnedFolder::open(folder)?;
        let mut checked = Self::check_pinned(&folder.path().join(name))?;
        checked.folder = Some(folder);
        Ok(checked)
    }

    /// Checks the main file of an artifact, by its path through a folder that is held open.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) fn check_pinned(file: &Path) -> Result<Self, FileError> {
        let (handle, metadata) = open_regular(file)?;
        let graph = GraphFile::read(handle, metadata.len()).map_err(|error| match error {
            GraphError::Io(error) => FileError::Io(error),
            GraphError::NotOnnx(why) => FileError::NotOnnx(why),
        })?;
        let folder = file.parent().unwrap_or(file);
        let mut parts = vec![(file.to_path_buf(), Stamp::of(&metadata))];
        let mut ways = Vec::new();
        for location in &graph.external {
            let part = check_external(folder, location, &mut ways).map_err(|why| {
                FileError::ExternalData {
                    location: location.clone(),
                    why,
                }
            })?;
            parts.push(part);
        }
        Ok(Self {
            path: file.to_path_buf(),
            graph,
            parts,
            ways,
            folder: None,
        })
    }

    /// Whether the model and its weights are still the files that were checked. The runtime opens
    /// them by name: asked after that, this tells whether it opened the same ones.
    ///
    /// # Errors
    /// [`FileError::Changed`].
    pub fn unchanged(&self) -> Result<(), FileError> {
        let same = |(path, stamp): &(PathBuf, Stamp)| stamp.is_of(path);
        if self.parts.iter().chain(&self.ways).all(same) {
            Ok(())
        } else {
            Err(FileError::Changed)
        }
    }

    /// Paths of the files beside the model that hold its weights.
    pub(super) fn weights(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().skip(1).map(|(path, _)| path.as_path())
    }

    /// Its path, for as long as it is held.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of classes, from the file's metadata; empty where it has none.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        match &self.graph.labels {
            None => Ok(Vec::new()),
            Some(Ok(text)) => labels::parse(text),
            Some(Err(reason)) => Err(reason.clone()),
        }
    }

    pub(super) fn graph(&self) -> &GraphFile {
        &self.graph
    }

    /// What it takes to read it once more.
    pub(super) fn again(&self) -> Option<CheckedFile> {
        let (path, stamp) = self.parts.first()?;
        Some(CheckedFile {
            path: path.clone(),
            stamp: *stamp,
            has_weights_beside: self.parts.len() > 1,
        })
    }
}

/// A file that was checked, to be read once more.
#[derive(Clone, Debug)]
pub(super) struct CheckedFile {
    path: PathBuf,
    stamp: Stamp,
    /// Whether weights are in other files.
    pub(super) has_weights_beside: bool,
}

impl CheckedFile {
    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.stamp.bytes
    }

    /// The same file, opened.
    pub(super) fn open(&self) -> Result<File, FileError> {
        let (file, metadata) = open_regular(&self.path)?;
        if Stamp::of(&metadata) == self.stamp {
            Ok(file)
        } else {
            Err(FileError::Changed)
        }
    }

    /// All its bytes.
    pub(super) fn content(&self) -> Result<Vec<u8>, FileError> {
        let mut content = Vec::new();
        self.open()?.take(self.length()).read_to_end(&mut content)?;
        // Not written to while it was read.
        self.open().map(|_| content)
    }
}

/// Opens a file, unless it is a folder, a device, a pipe or a socket: opening one of those may wait
/// or act.
fn open_regular(path: &Path) -> Result<(File, Metadata), FileError> {
    if !path.symlink_metadata()?.is_file() {
        return Err(FileError::NotAFile);
    }
    // In case it has been replaced since: a pipe does not hold up the one who opens it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(
            (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW)
                .bits()
                .cast_signed(),
        )
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    Ok((file, metadata))
}

/// A weights file that may be read: named relative to the model's folder, really inside it, and
/// with no second name (a hard link may be somebody else's file; ONNX Runtime follows them).
/// Adds the links and folders on the way to it, as they are, to `ways`.
fn check_external(
    folder: &Path,
    location: &str,
    ways: &mut Vec<(PathBuf, Stamp)>,
) -> Result<(PathBuf, Stamp), &'static str> {
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || location.contains('\0') || !plain {
        return Err("is not a path inside the model's folder");
    }
    if location.len() > LONGEST_LOCATION {
        return Err("is too long for a path");
    }
    // The runtime's own mark for weights that are in memory: it takes the offset for an address.
    if location.contains("_ORT_MEM_ADDR_") {
        return Err("is a name that ONNX Runtime keeps for itself; rename the file");
    }
    let Ok(inside) = below(folder, relative) else {
        return Err("is not there: put the model and its weights in one folder");
    };
    let Some(file) = inside else {
        return Err("is a link to outside of the model's folder");
    };
    for path in [folder.join(relative), file.clone()] {
        let within = |step: &&Path| step.starts_with(folder) && *step != folder && *step != file;
        for step in path
            .ancestors()
            .take_while(|step| *step != folder)
            .filter(within)
        {
            let Ok(metadata) = step.symlink_metadata() else {
                return Err("cannot be read");
            };
            ways.push((step.to_path_buf(), Stamp::of(&metadata)));
        }
    }
    let Ok(metadata) = file.symlink_metadata() else {
        return Err("cannot be read");
    };
    if !metadata.is_file() {
        return Err("is not a regular file");
    }
    if metadata.nlink() != 1 {
        return Err(
            "is a hard link, whose other name may be outside of the model's folder; copy the file",
        );
    }
    Ok((file, Stamp::of(&metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/models")
            .join(name)
    }

    #[test]
    fn a_missing_file_and_a_folder_without_a_model_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            ModelFile::check(&folder.path().join("nope.onnx")),
            Err(FileError::Missing)
        ));
        assert!(matches!(
            ModelFile::check(folder.path()),
            Err(FileError::NoModelInFolder)
        ));
    }

    #[test]
    fn a_link_inside_the_folder_is_followed_and_one_out_of_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("..2026");
        std::fs::create_dir(&data).unwrap();
        std::fs::copy(model("linear.onnx"), data.join("iris.onnx")).unwrap();
        std::os::unix::fs::symlink("..2026", folder.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/iris.onnx", folder.path().join("iris.onnx")).unwrap();
        ModelFile::check(&folder.path().join("iris.onnx")).unwrap();

        std::os::unix::fs::symlink(model("linear.onnx"), folder.path().join("model.onnx")).unwrap();
        assert!(matches!(
            ModelFile::check(folder.path()),
            Err(FileError::LinksOut)
        ));
    }

    #[test]
    fn weights_outside_of_the_folder_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().canonicalize().unwrap().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::fs::write(folder.join("weights.bin"), "w").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link.bin")).unwrap();
        std::fs::hard_link(root.path().join("secret"), folder.join("hard.bin")).unwrap();
        let check_external =
            |location: &str| super::check_external(&folder, location, &mut Vec::new());
        check_external("weights.bin").unwrap();
        // The runtime's mark, as a file that is there.
        std::fs::create_dir_all(folder.join("*/_ORT_MEM_ADDR_")).unwrap();
        std::fs::write(folder.join("*/_ORT_MEM_ADDR_/*"), "w").unwrap();
        for refused in [
            "../secret",
            "/etc/hostname",
            "",
            "link.bin",
            "hard.bin",
            "absent.bin",
            "*/_ORT_MEM_ADDR_/*",
        ] {
            assert!(check_external(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("model.onnx");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for path in [folder.path(), &pipe] {
            let refused = ModelFile::check(path);
            assert!(matches!(refused, Err(FileError::NotAFile)), "{refused:?}");
        }
    }

    #[test]
    fn a_file_that_was_replaced_or_written_to_is_not_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::copy(model("linear.onnx"), &path).unwrap();
        let file = ModelFile::check(&path).unwrap();
        file.unchanged().unwrap();
        let other = folder.path().join("other");
        std::fs::copy(model("linear.onnx"), &other).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(matches!(file.unchanged(), Err(FileError::Changed)));
    }
}
