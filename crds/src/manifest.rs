//! Manifests: from YAML text to objects, refusing what the API server would refuse.
//!
//! ```text
//! text ─ node ──────────▶ schema_check ──▶ rules ──▶ InferenceService
//!        values, each      fields, types,   CEL
//!        with its place    bounds, names
//! ```
//!
//! Every step reports what it finds as a [`Problem`] with its place in the file, and all problems
//! of all files come back at once. There is no step for defaults: the shipped definition has none
//! (a test in `schema` holds it to that); the code that acts on a field applies its default.

mod files;
mod nearest;
mod node;
mod object;
mod problem;
mod rules;
mod schema_check;
mod suggestions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_saphyr::{DefaultMessageFormatter, Error, SnippetMode};

use node::Node;
use object::Object;
use problem::Source;

pub use files::{MAX_FILE_BYTES, MAX_FILES, STANDARD_INPUT, manifests_at};
pub use object::API_VERSION;
pub use problem::{Place, Problem, Problems};

use crate::inference_service::InferenceService;

/// Objects of each kind that were read.
#[derive(Debug, Default)]
pub struct Manifest {
    /// Every `InferenceService`, in the order of the files.
    pub services: Vec<Service>,
    /// Every `ConfigMap`.
    pub config_maps: Vec<ConfigMap>,
    /// Everything else: right for a cluster, of no use without one.
    pub others: Vec<Other>,
}

/// An `InferenceService` that a cluster would accept, and where it came from.
#[derive(Debug)]
pub struct Service {
    /// The object.
    pub service: InferenceService,
    origin: Origin,
    value: serde_json::Value,
}

#[derive(Debug)]
struct Origin {
    source: Arc<Source>,
    root: Node,
}

/// A `ConfigMap`, `data` and `binaryData` together.
#[derive(Debug)]
pub struct ConfigMap {
    /// The file it stands in.
    pub file: String,
    /// Where it begins there, from 1.
    pub line: u64,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; `None` where the file leaves it to kubectl.
    pub namespace: Option<String>,
    /// The bytes behind each key.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// An object that only a cluster has a use for.
#[derive(Debug)]
pub struct Other {
    /// The file it stands in.
    pub file: String,
    /// Where it begins there, from 1.
    pub line: u64,
    /// Its kind, `Secret`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

impl Service {
    /// The object's name.
    pub fn name(&self) -> &str {
        self.service.metadata.name.as_deref().unwrap_or_default()
    }

    /// The file it stands in, as the user named it.
    pub fn file(&self) -> &str {
        &self.origin.source.name
    }

    /// Whether the file says anything at `field` (`spec.autoscaling`).
    pub fn states(&self, field: &str) -> bool {
        self.origin.root.locate(field).1.is_some()
    }

    /// A fault of the value at `field` that shows only outside the file: a model that is not
    /// there, a digest that differs.
    pub fn problem(
        &self,
        field: &str,
        wrong: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let (place, node) = self.origin.root.locate(field);
        let problem = Problem::at(&self.origin.source, place, field, wrong).help(help);
        match node.and_then(|node| schema_check::shown(&self.origin.source, node)) {
            Some(found) => problem.found(found),
            None => problem,
        }
    }

    /// The rules about changes that this object breaks when it is applied over `old`.
    pub fn problems_over(&self, old: &Self) -> Vec<Problem> {
        rules::broken(
            &self.origin.source,
            &self.origin.root,
            &self.value,
            Some(&old.value),
        )
    }
}

/// Reads manifests: files, folders (as `kubectl apply -f FOLDER` does: `*.yaml`, `*.yml` and
/// `*.json`, none below it), or `-` for standard input.
///
/// # Errors
/// Every fault of every file, in the order of files and lines.
pub fn load(paths: &[PathBuf]) -> Result<Manifest, Problems> {
    let mut manifest = Manifest::default();
    let mut problems = Vec::new();
    for path in paths {
        match files::manifests_at(path) {
            Ok(files) => {
                for file in files {
                    match files::text_of(&file) {
                        Ok(text) => problems.extend(manifest.read(&display(&file), text)),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    finish(manifest, problems)
}

/// Reads one manifest that is at hand as text; `name` stands for it in messages.
///
/// # Errors
/// Every fault of the text, in the order of lines.
pub fn parse(name: &str, text: &str) -> Result<Manifest, Problems> {
    let mut manifest = Manifest::default();
    let problems = manifest.read(name, text.to_owned());
    finish(manifest, problems)
}

fn finish(manifest: Manifest, mut problems: Vec<Problem>) -> Result<Manifest, Problems> {
    if problems.is_empty() {
        return Ok(manifest);
    }
    Problem::sort(&mut problems);
    Err(Problems(problems))
}

fn display(file: &Path) -> String {
    if file == Path::new(STANDARD_INPUT) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

impl Manifest {
    fn read(&mut self, name: &str, text: String) -> Vec<Problem> {
        let source = Arc::new(Source {
            name: name.to_owned(),
            text,
        });
        let mut pending = match documents(&source) {
            Ok(documents) => documents,
            Err(problem) => return vec![problem],
        };
        let mut problems = Vec::new();
        pending.reverse();
        while let Some(document) = pending.pop() {
            match object::read(&source, document) {
                Ok(Object::Many(items)) => pending.extend(items.into_iter().rev()),
                Ok(Object::Other(other)) => self.others.push(other),
                Ok(Object::ConfigMap(config_map)) => self.config_maps.push(config_map),
                Ok(Object::Service(service)) => match self.twin_of(&service) {
                    Some(problem) => problems.push(problem),
                    None => self.services.push(*service),
                },
                Err(found) => problems.extend(found),
            }
        }
        problems
    }

    /// kubectl would let the last of two win in silence; which one was meant, nobody knows.
    fn twin_of(&self, new: &Service) -> Option<Problem> {
        let twin = self.services.iter().find(|old| {
            old.name() == new.name()
                && old.service.metadata.namespace == new.service.metadata.namespace
        })?;
        let line = object::name_place(&twin.origin.root).line;
        Some(
            Problem::at(
                &new.origin.source,
                object::name_place(&new.origin.root),
                "metadata.name",
                format!(
                    "an InferenceService of this name stands at {}:{line} already",
                    twin.file()
                ),
            )
            .found(new.name().to_owned())
            .help("rename or remove one of them"),
        )
    }
}

fn documents(source: &Arc<Source>) -> Result<Vec<Node>, Problem> {
    // kubectl's YAML is 1.1: `0777` is octal and `on` is true. The budget stops alias bombs.
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! {
            max_nodes: 100_000,
            max_events: 400_000,
            max_recorded_anchor_events: 100_000,
            max_documents: 1000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
    };
    serde_saphyr::from_multiple_with_options(&source.text, options).map_err(|error| {
        let (wrong, help) = match error.without_snippet() {
            Error::DuplicateMappingKey { key, .. } => (
                match key {
                    Some(key) => format!("the key `{key}` stands here twice"),
                    None => "the same key stands here twice".to_owned(),
                },
                "keep one of them",
            ),
            other => (
                format!("not YAML that can be read: {}", described(other)),
                "correct the line; indentation is in spaces, and a text with `: ` or ` #` in it needs quotes",
            ),
        };
        let place = error.location().map_or_else(Place::default, |location| Place::of(&location));
        Problem::at(source, place, "", wrong).help(help)
    })
}

fn described(error: &Error) -> String {
    let options = serde_saphyr::render_options! {
        snippets: SnippetMode::Off,
        formatter: &DefaultMessageFormatter,
    };
    let text = error.render_with_options(options).replace('\n', " ");
    // The place stands in front of the message already.
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
