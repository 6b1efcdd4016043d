//! `serin check`: says what is wrong with manifests, before a cluster does.

use std::path::{Path, PathBuf};

use serin_crds::manifest::{Manifest, Problem, Problems, Service, load};
use serin_crds::revision::revision_of;
use serin_dataplane::engine::onnx::{Device, ModelFile, OnnxEngine, Runtime, SessionOptions};

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::source::{self, Found};
use crate::terminal::{Tone, on_stderr, on_stdout};

/// Checks the manifests and the models they name; prints a line for each object.
///
/// # Errors
/// Everything that is wrong.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let manifest = load(&args.manifests.files)?;
    if manifest.services.is_empty() {
        return Err(nothing_to_serve(&manifest, &args.manifests.files).into());
    }
    let models = Models::new(args)?;
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    for service in &manifest.services {
        match models.check(service, &manifest) {
            Ok(known) => lines.push(line(service, &known)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    for line in lines {
        println!("{} {line}", on_stdout(Tone::Good, "ok"));
    }
    for map in &manifest.config_maps {
        println!(
            "{} configmap/{} ({}:{})",
            on_stdout(Tone::Good, "ok"),
            map.name,
            map.file,
            map.line
        );
    }
    for other in &manifest.others {
        let kind = other.kind.to_lowercase();
        println!(
            "-- {kind}/{} ({}:{}): not checked, Serin does not read it",
            other.name, other.file, other.line
        );
    }
    Ok(())
}

/// The fault of files without a service.
pub fn nothing_to_serve(manifest: &Manifest, files: &[PathBuf]) -> Problem {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let held = manifest.config_maps.len() + manifest.others.len();
    Problem::of_file(
        names.join(", "),
        match held {
            0 => "no object is in there".to_owned(),
            held => format!("no InferenceService is in there ({held} of other kinds)"),
        },
        "name a file with `kind: InferenceService`; `serin run --help` shows examples",
    )
}

fn line(service: &Service, known: &str) -> String {
    let revision = revision_of(&service.service);
    format!(
        "inferenceservice/{} ({}): version {}, revision {}, {known}",
        service.name(),
        service.file(),
        revision.version,
        revision.name
    )
}

/// What is needed to look at models.
struct Models {
    runtime: Option<Runtime>,
    scratch: tempfile::TempDir,
    allow_missing: bool,
}

impl Models {
    fn new(args: &CheckArgs) -> Result<Self, Failure> {
        let runtime = match (
            Runtime::open(args.runtime_library.as_deref()),
            &args.runtime_library,
        ) {
            (Ok(runtime), _) => Some(runtime),
            (Err(error), Some(_)) => return Err(Failure::Engine(error)),
            (Err(_), None) => {
                let note = on_stderr(Tone::Note, "note:");
                eprintln!(
                    "{note} models are checked, but not loaded: ONNX Runtime is not here; run `serin runtime install`"
                );
                None
            }
        };
        Ok(Self {
            runtime,
            scratch: tempfile::tempdir().map_err(Failure::Scratch)?,
            allow_missing: args.allow_missing,
        })
    }

    /// What is known about the model of `service`, once it is found to be right.
    fn check(&self, service: &Service, manifest: &Manifest) -> Result<String, Problem> {
        match source::find(service, &manifest.config_maps)? {
            Found::File(path) => {
                let known = self.load(service, &path)?;
                Ok(format!("{known}; file:// works with `serin run` only"))
            }
            Found::Bytes { key, bytes } => {
                let folder = self.scratch.path().join(service.name());
                let path = folder.join(key);
                std::fs::create_dir_all(&folder)
                    .and_then(|()| std::fs::write(&path, bytes))
                    .map_err(|error| {
                        service.problem(
                            source::URI,
                            format!("cannot be written to a temporary file: {error}"),
                            "make room in $TMPDIR",
                        )
                    })?;
                self.load(service, &path)
            }
            Found::Absent(_) if self.allow_missing => {
                Ok("model not checked: the cluster has it".to_owned())
            }
            Found::Absent(problem) => Err(problem),
            Found::Remote | Found::Volume => {
                Ok("model not checked: it is not on this machine".to_owned())
            }
        }
    }

    fn load(&self, service: &Service, path: &Path) -> Result<String, Problem> {
        let file: ModelFile = source::verify(service, path)?;
        let Some(runtime) = &self.runtime else {
            return Ok("model found".to_owned());
        };
        let options = SessionOptions {
            device: Device::Cpu,
            threads: 1,
        };
        OnnxEngine::open(runtime, &file, options)
            .map(|_| "model loads".to_owned())
            .map_err(|error| {
                service.problem(
                    source::URI,
                    format!("the model cannot be used: {error}"),
                    "export it again",
                )
            })
    }
}
