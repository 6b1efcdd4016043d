//! The small files beside a model.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::pinned::below;

/// A folder whose files are read; links that lead out of it are not followed.
pub(super) struct Folder {
    root: PathBuf,
}

/// The tokenizer beside a model whose place is a folder, by a path without links.
pub fn tokenizer_file(place: &Path) -> Option<PathBuf> {
    let folder = Folder::open(place)?;
    let file = below(&folder.root, Path::new("tokenizer.json")).ok()??;
    file.is_file().then_some(file)
}

impl Folder {
    /// `None` where `path` is no folder.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let root = path.to_path_buf();
        root.is_dir().then_some(Self { root })
    }

    /// The content of the file `name`, of at most `limit` bytes; `None` where there is none.
    ///
    /// `a/b.json` may also be called `a_b.json`: a ConfigMap's keys hold no slash.
    ///
    /// # Errors
    /// Why a file that is there cannot be used; without a path of this machine.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(format!("'{name}' is not a file inside the model's folder"));
        }
        let flat = name.replace('/', "_");
        let found = [name, &flat]
            .iter()
            .find_map(|name| below(&self.root, Path::new(name)).ok());
        let path = match found {
            None => return Ok(None),
            Some(None) => return Err(format!("{name} is a link to outside of the model's folder")),
            Some(Some(path)) => path,
        };
        let unreadable = |error: std::io::Error| format!("{name} cannot be read: {error}");
        // Before it is opened: opening a pipe waits for somebody to write into it.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(format!("{name} is not a regular file"));
        }
        let file = File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > limit {
            return Err(format!("{name} is larger than {limit} bytes"));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_place_and_by_its_flat_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        assert_eq!(folder.read("1_Pooling/config.json", 9), Ok(None));
        std::fs::write(root.path().join("1_Pooling_config.json"), "flat").unwrap();
        let read = || folder.read("1_Pooling/config.json", 9).unwrap().unwrap();
        assert_eq!(read(), b"flat");
        std::fs::create_dir(root.path().join("1_Pooling")).unwrap();
        std::fs::write(root.path().join("1_Pooling/config.json"), "deep").unwrap();
        assert_eq!(read(), b"deep");
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let root = tempfile::tempdir().unwrap();
        let pipe = root.path().join("tokenizer.json");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        let refused = Folder::open(root.path()).unwrap().read("tokenizer.json", 9);
        assert!(refused.unwrap_err().contains("not a regular file"));
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read_and_nothing_beyond_the_limit() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("model");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("link.json")).unwrap();
        std::fs::write(inside.join("large.json"), "12345").unwrap();
        let folder = Folder::open(&inside).unwrap();
        for name in ["../secret", "/etc/hostname", "link.json"] {
            let why = folder.read(name, 9).unwrap_err();
            assert!(why.contains(name) && why.contains("folder"), "{why}");
        }
        assert!(
            folder
                .read("large.json", 4)
                .unwrap_err()
                .contains("4 bytes")
        );
        assert_eq!(folder.read("large.json", 5).unwrap().unwrap(), b"12345");
        assert!(Folder::open(&inside.join("large.json")).is_none());
    }

    #[test]
    fn the_links_of_a_mounted_configmap_are_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("..2026")).unwrap();
        std::fs::write(root.path().join("..2026/a.json"), "a").unwrap();
        std::os::unix::fs::symlink("..2026", root.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.json", root.path().join("a.json")).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        assert_eq!(folder.read("a.json", 9).unwrap().unwrap(), b"a");
    }
}
