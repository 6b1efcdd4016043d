//! A policy in a file: `policy.json` of a mounted ConfigMap.
//!
//! The file is looked at once a second: one `stat`, and a read where that shows a change. The
//! kubelet replaces a mounted ConfigMap by a symbolic link's target, below a folder that may not be
//! there yet, so inotify would need watches that follow both; it also says nothing on some network
//! file systems. One `stat` a second costs nothing that can be measured.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serin_crds::contract::document::DocumentError;
use serin_crds::contract::policy::Policy;

use super::document::sha256;
use super::{Document, PolicySource, Reading, Rejection};

/// Largest document that is read, in bytes: a ConfigMap holds no more.
const MAX_BYTES: u64 = 1 << 20;

/// Why a policy cannot be used at the start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file is there and cannot be read.
    #[error("policy file {path}: {reason}; name the file with --policy", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Not JSON, an unknown key, or a value of another type.
    #[error("policy file {path}, {reason}; correct it or remove it", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file, the key or value at fault, and what is expected.
        reason: DocumentError,
    },
}

/// What tells a state of a file from the one before, without reading it. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Those of the inode: a change of the content that keeps the other time shows here.
    changed: (i64, i64),
}

impl FileStamp {
    /// The state of `path` now; `None` where there is no such file.
    ///
    /// # Errors
    /// The system does not say.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(about) => Ok(Some(Self {
                device: about.dev(),
                inode: about.ino(),
                bytes: about.len(),
                modified: (about.mtime(), about.mtime_nsec()),
                changed: (about.ctime(), about.ctime_nsec()),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A policy's file, and the state in which it was last read.
pub(super) struct PolicyFile {
    path: PathBuf,
    read: Option<FileStamp>,
}

impl PolicyFile {
    /// Reads the file for the first time. Where there is none, every setting has its default: the
    /// ConfigMap may be deleted, and a service without one can serve.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub(super) fn open(path: &Path) -> Result<(Self, Document), PolicyError> {
        let unreadable = |reason| PolicyError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        // Before the content, so that a change meanwhile is seen at the next look.
        let stamp = FileStamp::of(path).map_err(unreadable)?;
        let document = match stamp {
            None => {
                tracing::warn!(
                    path = %path.display(),
                    "there is no policy file; every setting has its default until there is one"
                );
                Document::from(Policy::default())
            }
            Some(_) => {
                let text = content(path).map_err(unreadable)?;
                Document::parse(&text).map_err(|reason| PolicyError::Invalid {
                    path: path.to_owned(),
                    reason,
                })?
            }
        };
        let file = Self {
            path: path.to_owned(),
            read: stamp,
        };
        Ok((file, document))
    }
}

impl PolicySource for PolicyFile {
    fn read(&mut self) -> Reading {
        let unreadable = |error: &io::Error| {
            Reading::Unusable(Rejection {
                content: error.to_string(),
                reason: format!("{}: {error}", self.path.display()),
            })
        };
        let stamp = match FileStamp::of(&self.path) {
            Ok(stamp) if stamp == self.read => return Reading::Unchanged,
            Ok(stamp) => stamp,
            Err(error) => return unreadable(&error),
        };
        if stamp.is_none() {
            self.read = stamp;
            return Reading::Unusable(Rejection {
                content: String::new(),
                reason: format!("{}: the file is gone", self.path.display()),
            });
        }
        let text = match content(&self.path) {
            Ok(text) => text,
            // It went since; the next look finds it so.
            Err(error) if is_absent(&error) => return Reading::Unchanged,
            Err(error) => return unreadable(&error),
        };
        self.read = stamp;
        match Document::parse(&text) {
            Ok(document) => Reading::Document(document),
            Err(error) => Reading::Unusable(Rejection {
                content: sha256(&text),
                reason: format!("{}, {error}", self.path.display()),
            }),
        }
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let message = format!("it is larger than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const CONTROLLED: &str = r#"{"api":{"repositoryControl":true}}"#;

    /// A mounted ConfigMap as the kubelet writes it: `policy.json -> ..data/policy.json`,
    /// `..data -> ..REVISION`, and a new content is a new folder to which `..data` is swapped.
    struct Mount(tempfile::TempDir);

    impl Mount {
        fn new(text: &str) -> Self {
            let mount = Self(tempfile::tempdir().unwrap());
            symlink("..data/policy.json", mount.path()).unwrap();
            mount.swap("..1", text);
            mount
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("policy.json")
        }

        fn swap(&self, revision: &str, text: &str) {
            let folder = self.0.path().join(revision);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("policy.json"), text).unwrap();
            symlink(revision, self.0.path().join("..data_tmp")).unwrap();
            fs::rename(
                self.0.path().join("..data_tmp"),
                self.0.path().join("..data"),
            )
            .unwrap();
        }
    }

    #[test]
    fn a_swapped_mount_is_read_once() {
        let mount = Mount::new("{}");
        let (mut file, first) = PolicyFile::open(&mount.path()).unwrap();
        assert_eq!(first, Document::from(Policy::default()));
        assert_eq!(file.read(), Reading::Unchanged);
        mount.swap("..2", CONTROLLED);
        let second = Document::parse(CONTROLLED.as_bytes()).unwrap();
        assert_eq!(file.read(), Reading::Document(second));
        assert_eq!(file.read(), Reading::Unchanged);
    }

    #[test]
    fn a_file_that_is_not_there_is_the_default_policy_until_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mount").join("policy.json");
        let (mut file, first) = PolicyFile::open(&path).unwrap();
        assert_eq!(first.policy, Policy::default());
        assert_eq!(file.read(), Reading::Unchanged);
        fs::create_dir(folder.path().join("mount")).unwrap();
        fs::write(&path, CONTROLLED).unwrap();
        assert!(
            matches!(file.read(), Reading::Document(found) if found.policy.api.repository_control)
        );
        fs::remove_file(&path).unwrap();
        let Reading::Unusable(gone) = file.read() else {
            panic!("it is gone")
        };
        assert!(
            gone.reason.ends_with("policy.json: the file is gone"),
            "{}",
            gone.reason
        );
        assert_eq!(file.read(), Reading::Unchanged);
    }

    #[test]
    fn an_unknown_key_refuses_the_start_with_file_key_and_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        fs::write(&path, r#"{"api":{"nonfinite":"Error"}}"#).unwrap();
        let Err(error) = PolicyFile::open(&path) else {
            panic!("a key that is not known")
        };
        let message = error.to_string();
        for part in [
            "policy.json, line 1: api",
            "unknown field `nonfinite`",
            "`nonFinite`",
            "correct it or remove it",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let Err(error) = PolicyFile::open(folder.path()) else {
            panic!("a folder")
        };
        assert!(error.to_string().contains("--policy"), "{error}");
    }

    #[test]
    fn a_document_that_cannot_be_used_is_told_with_its_place() {
        let mount = Mount::new("{}");
        let (mut file, _) = PolicyFile::open(&mount.path()).unwrap();
        mount.swap("..2", r#"{"api":{"nonFinite":"Nul"}}"#);
        let Reading::Unusable(rejection) = file.read() else {
            panic!("no such value")
        };
        assert!(
            rejection
                .reason
                .contains("policy.json, line 1: api.nonFinite: unknown variant `Nul`"),
            "{}",
            rejection.reason
        );
        mount.swap("..3", &" ".repeat(MAX_BYTES as usize + 1));
        let Reading::Unusable(rejection) = file.read() else {
            panic!("too large")
        };
        assert!(
            rejection
                .reason
                .ends_with("it is larger than 1048576 bytes")
        );
        mount.swap("..4", "{}");
        assert!(matches!(file.read(), Reading::Document(_)));
    }
}
