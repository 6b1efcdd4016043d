//! Which models have passed their preflight, remembered over restarts.
//!
//! A mark is a small file in the cache folder, named by everything that the outcome depends on.
//! Where it cannot be written, the next start tries again.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use serde::{Deserialize, Serialize};
use serin_engine::Artifact;

/// Most marks; at this number all are removed.
const MOST: usize = 1000;

/// Longest mark that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// What is known of a model that has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::model) struct Outcome {
    /// Why no made-up input gave an answer, where none did: such a run is not to be tried again in
    /// the serving process.
    pub(in crate::model) unanswered: Option<String>,
}

/// The file of one model's mark.
pub(in crate::model) struct PreflightCache(PathBuf);

impl PreflightCache {
    /// For a model of these files, tried with this library and so much memory.
    pub(in crate::model) fn new(
        cache_dir: &Path,
        artifact: &Artifact,
        library: Option<&Path>,
        memory: u64,
    ) -> Self {
        let library = library
            .and_then(|library| fs::metadata(library).ok())
            .map(|file| format!("{}:{}:{}", file.ino(), file.len(), file.ctime_nsec()))
            .unwrap_or_default();
        let digest = artifact.digest.as_deref().unwrap_or_default();
        let mut key = Sha256::new();
        for part in [
            env!("CARGO_PKG_VERSION"),
            digest,
            &artifact.identity_of_others(),
            &library,
            &memory.to_string(),
        ] {
            key.update(part);
            key.update([0]);
        }
        let key = hex::encode(key.finalize());
        Self(cache_dir.join("tried").join(&key[..32]))
    }

    /// What came of it, if it has passed.
    pub(in crate::model) fn recall(&self) -> Option<Outcome> {
        let mut text = Vec::new();
        let file = fs::File::open(&self.0).ok()?;
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers that it has passed, where that can be written.
    pub(in crate::model) fn mark(&self, outcome: &Outcome) {
        let (Some(folder), Ok(text)) = (self.0.parent(), serde_json::to_vec(outcome)) else {
            return;
        };
        let marks = fs::read_dir(folder).map_or(0, Iterator::count);
        if marks >= MOST {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::create_dir_all(folder);
        let _ = fs::write(&self.0, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark of a model of this digest and weights, in a folder of its own.
    fn passed(cache: &Path, digest: &str, weights: &str, memory: u64) -> PreflightCache {
        let folder = cache.join("model");
        let _ = fs::create_dir(&folder);
        let _ = fs::write(folder.join("m.onnx"), "");
        let library = Path::new("/proc/self/exe");
        let mut artifact = Artifact::find(&folder.join("m.onnx"), &[]).unwrap();
        artifact.digest = Some(digest.to_owned());
        let weights = folder.join(weights);
        if !weights.exists() {
            fs::write(&weights, "").unwrap();
        }
        artifact.add(vec![weights]).unwrap();
        PreflightCache::new(&cache.join("marks"), &artifact, Some(library), memory)
    }

    #[test]
    fn a_mark_is_for_one_model_its_weights_and_its_bounds() {
        let cache = tempfile::tempdir().unwrap();
        let outcome = Outcome {
            unanswered: Some("it was stopped".to_owned()),
        };
        passed(cache.path(), "a", "w", 1).mark(&outcome);
        assert_eq!(passed(cache.path(), "a", "w", 1).recall(), Some(outcome));
        for other in [("b", "w", 1), ("a", "x", 1), ("a", "w", 2)] {
            assert_eq!(
                passed(cache.path(), other.0, other.1, other.2).recall(),
                None
            );
        }
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_remembered() {
        let nowhere = PreflightCache(Path::new("/proc/nowhere/mark").to_path_buf());
        nowhere.mark(&Outcome::default());
        assert_eq!(nowhere.recall(), None);
    }
}
