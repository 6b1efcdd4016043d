//! A model's file, checked before ONNX Runtime sees it: models are untrusted programs.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::graph::{GraphError, GraphFile};

/// A file that may be given to the runtime: a regular file inside its own folder, an ONNX model by
/// its structure, referring to no file outside that folder.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    graph: GraphFile,
}

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
    /// The system's error.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl ModelFile {
    /// Checks `path`: a file, or a folder that holds `model.onnx`. Links inside the folder are
    /// followed (a ConfigMap's files are links), links out of it are refused.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn check(path: &Path) -> Result<Self, FileError> {
        let missing = |error: std::io::Error, otherwise: FileError| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => otherwise,
            _ => FileError::Io(error),
        };
        let (folder, file) = if path.is_dir() {
            (path.to_path_buf(), path.join("model.onnx"))
        } else {
            (
                path.parent().map(Path::to_path_buf).unwrap_or_default(),
                path.to_path_buf(),
            )
        };
        let absent = || {
            if path.is_dir() {
                FileError::NoModelInFolder
            } else {
                FileError::Missing
            }
        };
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let folder = folder
            .canonicalize()
            .map_err(|error| missing(error, FileError::Missing))?;
        let file = file
            .canonicalize()
            .map_err(|error| missing(error, absent()))?;
        if !file.starts_with(&folder) {
            return Err(FileError::LinksOut);
        }
        if !file.metadata()?.is_file() {
            return Err(FileError::NotAFile);
        }
        let handle = File::open(&file)?;
        let length = handle.metadata()?.len();
        let graph = GraphFile::read(handle, length).map_err(|error| match error {
            GraphError::Io(error) => FileError::Io(error),
            GraphError::NotOnnx(why) => FileError::NotOnnx(why),
        })?;
        let beside = file.parent().unwrap_or(&folder);
        for location in &graph.external {
            check_external(beside, location).map_err(|why| FileError::ExternalData {
                location: location.clone(),
                why,
            })?;
        }
        Ok(Self { path: file, graph })
    }

    /// Its canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn graph(&self) -> &GraphFile {
        &self.graph
    }
}

/// Whether a weights file may be read: named relative to the model's folder, really inside it, and
/// with no second name (a hard link may be somebody else's file; ONNX Runtime follows them).
fn check_external(folder: &Path, location: &str) -> Result<(), &'static str> {
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || location.contains('\0') || !plain {
        return Err("is not a path inside the model's folder");
    }
    let Ok(file) = folder.join(relative).canonicalize() else {
        return Err("is not there: put the model and its weights in one folder");
    };
    if !file.starts_with(folder) {
        return Err("is a link to outside of the model's folder");
    }
    let Ok(metadata) = file.metadata() else {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/models")
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
        assert_eq!(check_external(&folder, "weights.bin"), Ok(()));
        for refused in [
            "../secret",
            "/etc/hostname",
            "",
            "link.bin",
            "hard.bin",
            "absent.bin",
            "*/_ORT_MEM_ADDR_/*",
        ] {
            assert!(check_external(&folder, refused).is_err(), "{refused}");
        }
    }
}
