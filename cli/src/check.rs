//! `serin check`: says what is wrong with manifests, before a cluster does.

use std::path::{Path, PathBuf};

use serin_core::types::{Signature, TensorSpec};
use serin_crds::contract::pod_config::SourceConfig;
use serin_crds::manifest::{Manifest, Problem, Problems, Service, load};
use serin_crds::revision::revision_of;
use serin_dataplane::config::Options;
use serin_dataplane::model::{self, LoaderOptions};
use serin_engine::onnx::Runtime;

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::source::{self, Found};
use crate::terminal::{Tone, on_stderr, on_stdout, write_out};

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
    for (place, service) in manifest.services.iter().enumerate() {
        match models.check(place, service, &manifest) {
            Ok(known) => lines.push(line(service, &known)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    let ok = on_stdout(Tone::Good, "ok");
    let mut report: String = lines.iter().map(|line| format!("{ok} {line}\n")).collect();
    for map in &manifest.config_maps {
        report.push_str(&format!(
            "{ok} configmap/{} ({}:{})\n",
            map.name, map.file, map.line
        ));
    }
    for other in &manifest.others {
        let kind = other.kind.to_lowercase();
        report.push_str(&format!(
            "-- {kind}/{} ({}:{}): not checked, Serin does not read it\n",
            other.name, other.file, other.line
        ));
    }
    write_out(&report);
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
    /// How to load them; `None` where ONNX Runtime is not here.
    loader: Option<LoaderOptions>,
    threads: tokio::runtime::Runtime,
    scratch: tempfile::TempDir,
    allow_missing: bool,
}

impl Models {
    fn new(args: &CheckArgs) -> Result<Self, Failure> {
        let scratch = tempfile::tempdir().map_err(Failure::Scratch)?;
        let loader = LoaderOptions::from(&Options {
            cache_dir: scratch.path().to_owned(),
            runtime_library: args.runtime_library.clone(),
            local_mode: true,
            ..Options::default()
        });
        let loader = match (
            Runtime::open(args.runtime_library.as_deref()),
            &args.runtime_library,
        ) {
            (Ok(_), _) => Some(loader),
            (Err(error), Some(_)) => return Err(Failure::Engine(error)),
            (Err(_), None) => {
                let note = on_stderr(Tone::Note, "note:");
                eprintln!(
                    "{note} models are checked, but not loaded: ONNX Runtime is not here; run `serin runtime install`"
                );
                None
            }
        };
        let threads = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::Threads)?;
        Ok(Self {
            loader,
            threads,
            scratch,
            allow_missing: args.allow_missing,
        })
    }

    /// What is known about the model of `service`, once it is found to be right. Its files are
    /// written to a folder of its place in the list: services of two namespaces may share a name.
    fn check(
        &self,
        place: usize,
        service: &Service,
        manifest: &Manifest,
    ) -> Result<String, Problem> {
        let folder = self.scratch.path().join(place.to_string());
        match source::find(service, &manifest.config_maps)? {
            Found::File(path) => {
                let known = self.load(service, &path)?;
                Ok(format!("{known}; file:// works with `serin run` only"))
            }
            Found::Bytes { key, bytes } => {
                let path = source::write(service, &folder.join(key), bytes)?;
                self.load(service, &path)
            }
            Found::Folder(files) => {
                let path = source::write_all(service, &folder, files)?;
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
        source::verify(service, path)?;
        let Some(loader) = &self.loader else {
            return Ok("model found".to_owned());
        };
        let source = SourceConfig {
            // By its path it is within reach, whatever the URI.
            path: Some(path.display().to_string()),
            ..source::config(service)
        };
        self.threads
            .block_on(model::check(&source, loader))
            .map(|signature| format!("model loads: {}", shape_of(&signature)))
            .map_err(|error| service.problem(source::URI, error.to_string(), ""))
    }
}

/// `x FP32[-1,4] -> label BYTES[-1]`.
fn shape_of(signature: &Signature) -> String {
    let side = |tensors: &[TensorSpec]| {
        let tensors = tensors.iter().map(|tensor| {
            let shape: Vec<String> = tensor
                .shape_for_metadata()
                .iter()
                .map(i64::to_string)
                .collect();
            format!(
                "{} {}[{}]",
                tensor.name,
                tensor.datatype.as_str(),
                shape.join(",")
            )
        });
        tensors.collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} -> {}",
        side(&signature.inputs),
        side(&signature.outputs)
    )
}
