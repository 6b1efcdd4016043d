//! The manifests as a source of policies: what a change of them does to a running `serin run`.

use std::path::{Path, PathBuf};

use serin_crds::contract::policy::Policy;
use serin_crds::manifest::{Manifest, Problems, STANDARD_INPUT, Service, load, manifests_at};
use serin_dataplane::policy::{FileStamp, PolicySource, Reading, Rejection, Step};

use super::plan;
use super::served::Served;
use crate::check::nothing_to_serve;
use crate::failure::Failure;
use crate::terminal::{Tone, on_stderr};

/// Manifests on disk and the state that they were in.
pub struct WatchedFiles {
    /// Files and folders as the user named them.
    named: Vec<PathBuf>,
    stamps: Stamps,
}

/// Each manifest and its state; `None` where it is not there.
type Stamps = Vec<(PathBuf, Option<FileStamp>)>;

impl WatchedFiles {
    /// The state of these files and folders now, to be taken before they are read. `None` where one
    /// is standard input, which cannot be read again.
    pub fn new(named: &[PathBuf]) -> Option<Self> {
        let watched = named.iter().all(|path| path != Path::new(STANDARD_INPUT));
        watched.then(|| Self {
            named: named.to_vec(),
            stamps: stamps(named),
        })
    }
}

fn stamps(named: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::new();
    for path in named {
        let files = manifests_at(path).unwrap_or_else(|_| vec![path.clone()]);
        stamps.extend(files.into_iter().map(|file| {
            let stamp = FileStamp::of(&file).ok().flatten();
            (file, stamp)
        }));
    }
    stamps
}

/// Reads the manifests again when they change. What only a restart applies is named once.
pub struct ManifestSource {
    files: WatchedFiles,
    served: Served,
    /// The state in which the files could not be used, if that is their state since the last look.
    unusable: Option<Stamps>,
    /// What is wrong with the files, until it is told.
    problems: Option<Problems>,
    /// What needs a restart, as it was told last.
    told: Vec<String>,
}

impl ManifestSource {
    /// Watches `files`, of which `served` was read.
    pub fn new(files: WatchedFiles, served: Served) -> Self {
        Self {
            files,
            served,
            unusable: None,
            problems: None,
            told: Vec::new(),
        }
    }

    /// The policy of the services that are served, and what differs otherwise.
    fn policy(&self, manifest: &Manifest) -> Result<(Policy, Vec<String>), Problems> {
        if manifest.services.is_empty() {
            return Err(nothing_to_serve(manifest, &self.files.named).into());
        }
        let differences = self.served.differences(&Served::of(manifest)?);
        let services = manifest.services.iter();
        let served: Vec<&Service> = services
            .filter(|service| self.served.holds(service))
            .collect();
        Ok((plan::policy(&served)?, differences))
    }

    fn tell_restart(&mut self, differences: Vec<String>) {
        if !differences.is_empty() && differences != self.told {
            eprintln!(
                "{} {}; restart serin run to apply",
                on_stderr(Tone::Note, "note:"),
                differences.join("; ")
            );
        }
        self.told = differences;
    }
}

impl PolicySource for ManifestSource {
    fn read(&mut self) -> Reading {
        let stamps = stamps(&self.files.named);
        if stamps == self.files.stamps {
            return Reading::Unchanged;
        }
        let read = load(&self.files.named).and_then(|manifest| self.policy(&manifest));
        match read {
            Ok((policy, differences)) => {
                self.files.stamps = stamps;
                self.tell_restart(differences);
                Reading::Document(policy.into())
            }
            // An editor may be in the middle of writing: the next look tells.
            Err(_) if self.unusable.as_ref() != Some(&stamps) => {
                self.unusable = Some(stamps);
                Reading::Unchanged
            }
            Err(problems) => {
                self.files.stamps = stamps;
                let reason = problems.to_string();
                self.problems = Some(problems);
                Reading::Unusable(Rejection {
                    content: reason.clone(),
                    reason,
                })
            }
        }
    }

    fn tell(&mut self, step: &Step) {
        let note = on_stderr(Tone::Note, "note:");
        match step {
            Step::Keep => {}
            Step::Replace { changes, .. } => {
                eprintln!("{note} the policy is reloaded: {}", changes.join(", "));
            }
            Step::Recover => eprintln!("{note} the files can be used again; nothing has changed"),
            Step::Reject(rejection) => {
                match self.problems.take() {
                    Some(problems) => Failure::Manifest(problems).report(),
                    // A policy that the data plane does not accept.
                    None => eprintln!("{} {}", on_stderr(Tone::Error, "error:"), rejection.reason),
                }
                eprintln!("{note} the last good policy stays in force");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_crds::contract::policy::NonFinite;
    use std::fs;

    fn manifest(spec: &str) -> String {
        format!(
            "apiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: a}}\nspec: {{model: {{source: {{uri: 'https://models.example.com/a.onnx'}}}}{spec}}}\n"
        )
    }

    struct Fixture {
        folder: tempfile::TempDir,
        source: ManifestSource,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), manifest("")).unwrap();
        let named = [folder.path().to_owned()];
        let files = WatchedFiles::new(&named).unwrap();
        let served = Served::of(&load(&named).unwrap()).unwrap();
        let source = ManifestSource::new(files, served);
        Fixture { folder, source }
    }

    impl Fixture {
        fn write(&self, text: &str) {
            let path = self.folder.path().join("a.yaml");
            let beside = self.folder.path().join("a.new");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, path).unwrap();
        }
    }

    #[test]
    fn a_changed_manifest_is_a_policy() {
        let mut fixture = fixture();
        assert_eq!(fixture.source.read(), Reading::Unchanged);
        fixture.write(&manifest(", api: {nonFinite: Error}"));
        let Reading::Document(document) = fixture.source.read() else {
            panic!("a document")
        };
        assert_eq!(document.policy.api.non_finite, NonFinite::Error);
        assert_eq!(fixture.source.read(), Reading::Unchanged);
    }

    #[test]
    fn a_manifest_that_cannot_be_used_is_told_at_the_second_look_as_check_tells_it() {
        let mut fixture = fixture();
        let text = manifest(", api: {nonFinite: Nul}");
        fixture.write(&text);
        assert_eq!(fixture.source.read(), Reading::Unchanged);
        let Reading::Unusable(rejection) = fixture.source.read() else {
            panic!("no such value")
        };
        let checked = load(&[fixture.folder.path().to_owned()]).unwrap_err();
        assert_eq!(rejection.reason, checked.to_string());
        assert!(rejection.reason.contains("spec.api.nonFinite"));
        assert_eq!(fixture.source.read(), Reading::Unchanged);
        // One that is whole at the second look was never wrong.
        fixture.write("apiVersion: serin.dev");
        assert_eq!(fixture.source.read(), Reading::Unchanged);
        fixture.write(&manifest(""));
        assert!(matches!(fixture.source.read(), Reading::Document(_)));
    }

    #[test]
    fn what_needs_a_restart_is_remembered_and_the_policy_beside_it_is_taken() {
        let mut fixture = fixture();
        let other = manifest(", api: {nonFinite: Error}").replace("a.onnx", "b.onnx");
        fixture.write(&other);
        assert!(matches!(fixture.source.read(), Reading::Document(_)));
        assert_eq!(fixture.source.told.len(), 1);
        assert!(fixture.source.told[0].ends_with("has another spec.model"));
    }

    #[test]
    fn standard_input_is_not_watched() {
        assert!(WatchedFiles::new(&[PathBuf::from(STANDARD_INPUT)]).is_none());
    }
}
