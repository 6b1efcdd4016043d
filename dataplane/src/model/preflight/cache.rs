//! Which models have passed their preflight, remembered over restarts.
//!
//! A mark is a small file in the cache folder, named by everything that the outcome depends on.
//! Where it cannot be written, the next start tries again.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::child::Message;
use super::merging::Merging;
use super::readable::readable;
use super::trial::Trial;
use serde::{Deserialize, Serialize};

/// Most marks; at this number all are removed.
const MOST: usize = 1000;

/// Longest mark that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// To be changed with [`Outcome`], and with what is tried: what was remembered before is tried again.
const FORMAT: &str = "2";

/// What is known of a model that has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::model) struct Outcome {
    /// Why no made-up input gave an answer, where none did: such a run is not to be tried again in
    /// the serving process.
    pub(in crate::model) unanswered: Option<String>,
    /// Whether rows may be merged.
    pub(in crate::model) merging: Option<Merging>,
    /// Bytes of the longest text that its tokenizer takes, where it embeds texts.
    pub(in crate::model) longest_text: Option<usize>,
    /// How many edges of its signature were tried, from the first on.
    pub(in crate::model) edges_tried: usize,
    /// Those that ended the child.
    pub(in crate::model) fatal_edges: Vec<usize>,
    /// Time of loading, in milliseconds.
    pub(in crate::model) open_ms: u64,
    /// Time of the first runs, in milliseconds.
    pub(in crate::model) run_ms: u64,
}

impl Outcome {
    /// Takes up what a child found.
    pub(super) fn learn(&mut self, said: &[Message]) {
        for message in said {
            match message {
                Message::Opened(ms) => self.open_ms = *ms,
                Message::Ran { ms, unanswered } => {
                    self.run_ms = *ms;
                    self.unanswered = unanswered.as_deref().map(readable);
                }
                Message::LongestText(bytes) => self.longest_text = Some(*bytes),
                Message::Probed(merging) => self.merging = Some(merging.clone()),
                _ => {}
            }
        }
    }
}

/// The file of one model's mark.
pub(in crate::model) struct PreflightCache(PathBuf);

impl PreflightCache {
    /// For a trial of a model: its files, the library, the threads, the bounds, and what is asked.
    pub(in crate::model) fn new(cache_dir: &Path, trial: &Trial<'_>) -> Self {
        let artifact = trial.artifact;
        let library = trial
            .runtime_library
            .as_deref()
            .and_then(|library| fs::metadata(library).ok())
            .map(|file| format!("{}:{}:{}", file.ino(), file.len(), file.ctime_nsec()))
            .unwrap_or_default();
        let digest = artifact.digest.as_deref().unwrap_or_default();
        let mut key = Sha256::new();
        for part in [
            FORMAT,
            env!("CARGO_PKG_VERSION"),
            digest,
            &artifact.identity_of_others(),
            &library,
            &trial.bounds.memory.to_string(),
            &trial.threads.to_string(),
            &trial.merging.to_string(),
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
    use std::time::Duration;

    use super::*;
    use crate::model::options::LoadBounds;
    use serin_engine::Artifact;

    /// What the mark of a model depends on.
    #[derive(Clone, Copy)]
    struct Of {
        digest: &'static str,
        weights: &'static str,
        memory: u64,
        threads: usize,
        merging: bool,
    }

    const FIRST: Of = Of {
        digest: "a",
        weights: "w",
        memory: 1,
        threads: 1,
        merging: true,
    };

    /// The mark of such a model, in a folder of its own.
    fn mark(cache: &Path, of: Of) -> PreflightCache {
        let folder = cache.join("model");
        let _ = fs::create_dir(&folder);
        let _ = fs::write(folder.join("m.onnx"), "");
        let mut artifact = Artifact::find(&folder.join("m.onnx"), &[]).unwrap();
        artifact.digest = Some(of.digest.to_owned());
        let weights = folder.join(of.weights);
        if !weights.exists() {
            fs::write(&weights, "").unwrap();
        }
        artifact.add(vec![weights]).unwrap();
        let trial = Trial {
            backend: &serin_engine::onnx::OnnxBackend::new(None),
            artifact: &artifact,
            runtime_library: Some("/proc/self/exe".into()),
            shown: "file:///m",
            bounds: LoadBounds::new(Some(of.memory), Duration::from_secs(1), true),
            threads: of.threads,
            merging: of.merging,
        };
        PreflightCache::new(&cache.join("marks"), &trial)
    }

    #[test]
    fn a_mark_is_for_one_model_its_weights_its_bounds_and_what_was_asked() {
        let cache = tempfile::tempdir().unwrap();
        let outcome = Outcome {
            unanswered: Some("it was stopped".to_owned()),
            fatal_edges: vec![3],
            ..Outcome::default()
        };
        mark(cache.path(), FIRST).mark(&outcome);
        assert_eq!(mark(cache.path(), FIRST).recall(), Some(outcome));
        let others = [
            Of {
                digest: "b",
                ..FIRST
            },
            Of {
                weights: "x",
                ..FIRST
            },
            Of { memory: 2, ..FIRST },
            Of {
                threads: 2,
                ..FIRST
            },
            Of {
                merging: false,
                ..FIRST
            },
        ];
        for other in others {
            assert_eq!(mark(cache.path(), other).recall(), None);
        }
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_remembered() {
        let nowhere = PreflightCache(Path::new("/proc/nowhere/mark").to_path_buf());
        nowhere.mark(&Outcome::default());
        assert_eq!(nowhere.recall(), None);
    }
}
