//! From a file within reach to a model that answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_crds::contract::pod_config::{ModelConfig, SourceConfig};

use super::preflight::{self, Outcome, PreflightCache};
use super::source::{SourceOptions, locate};
use super::{LoadError, LocalArtifact, digest, memory};
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::telemetry::{InferenceCounters, ModelMetrics, ModelObserver};
use serin_core::types::{Batching, ModelDescription, Signature};
use serin_engine::Engine;
use serin_engine::batch::{self, Proof, Worker, WorkerOptions, prove};
use serin_engine::onnx::{Device, FileError, ModelFile, OnnxEngine, Runtime, SessionOptions};
use serin_engine::text::Embedder;

/// Requests that may wait for one model (as `protocols.md` of the design has it: 256).
const QUEUE: usize = 256;

/// What loading may use.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// How sources are brought within reach.
    pub source: SourceOptions,
    /// The ONNX Runtime library; looked for in the usual places when absent.
    pub runtime_library: Option<PathBuf>,
    /// Threads within one operator of a model.
    pub threads: usize,
    /// What a model may take.
    pub bounds: LoadBounds,
}

/// What models may take, in memory and in time to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadBounds {
    /// Memory of all models of this process together, in bytes.
    pub memory: u64,
    /// How long a small model may take to load and to run once; large ones have a second more for
    /// each 16 MiB.
    pub timeout: Duration,
    /// Whether a model is tried in a child process first, where this program can be its own child
    /// (see [`super::enter_preflight`]).
    pub preflight: bool,
}

impl LoadBounds {
    /// The bounds of a program's options; `memory` derived from the container's limit where none
    /// is given.
    pub fn new(memory: Option<u64>, timeout: Duration, preflight: bool) -> Self {
        Self {
            memory: memory.unwrap_or_else(memory::for_models),
            timeout,
            preflight,
        }
    }
}

/// A model that answers.
pub struct ServingModel {
    /// As metadata shows it.
    pub description: ModelDescription,
    /// Runs requests.
    pub worker: Worker,
    /// Where they are counted.
    pub metrics: Arc<ModelMetrics>,
    /// What makes texts its inputs and its outputs vectors, or why it is no embedder.
    pub embedder: Result<Arc<Embedder>, String>,
    /// Where its statistics are kept.
    pub statistics: Arc<InferenceCounters>,
    /// Names of the classes that its outputs score, in order; empty where the file has none.
    pub labels: Arc<[String]>,
}

/// Loads one model: locate, check, open, warm up and prove, start. `starting` is told when the
/// model first runs; nobody is where the process serves already.
///
/// # Errors
/// [`LoadError`].
pub(super) async fn load(
    model: &ModelConfig,
    options: &LoaderOptions,
    metrics: &Arc<ModelMetrics>,
    statistics: &Arc<InferenceCounters>,
    starting: Option<&Lifecycle>,
) -> Result<ServingModel, LoadError> {
    let started = Instant::now();
    let located = locate(&model.source, &options.source).await?;
    let Opened {
        mut engine,
        file,
        digest: found,
        outcome,
    } = opened(&located, model.source.digest.clone(), model.gpu, options).await?;
    let (model, metrics) = (model.clone(), Arc::clone(metrics));
    let (statistics, starting) = (Arc::clone(statistics), starting.cloned());
    blocking(move || {
        if let Some(lifecycle) = starting {
            lifecycle.advance(Phase::Warming);
        }
        let proof = match outcome.unanswered {
            // What the child could not end or answer is not begun here.
            Some(reason) => Proof {
                batching: Batching::off(reason),
                row_time: None,
            },
            None => prove(&mut engine, batch::Limits::default()),
        };
        let signature = engine.signature().clone();
        let embedder = embedder(&located, &signature, &model);
        let labels = labels(&file, &model);
        tracing::info!(
            model = model.name,
            version = model.version,
            source = located.shown,
            digest = found,
            max_batch_rows = proof.batching.max_rows,
            batching = proof.batching.reason,
            took_ms = started.elapsed().as_millis() as u64,
            "model loaded"
        );
        for output in &signature.unserved_outputs {
            tracing::warn!(
                model = model.name,
                output,
                "an output of a type that the protocol has no name for is not served"
            );
        }
        let worker = Worker::start(
            vec![Box::new(engine)],
            WorkerOptions {
                name: model.name.clone(),
                max_rows: proof.batching.max_rows,
                optional_inputs: optional_inputs(&signature),
                queue: QUEUE,
                per_request: proof.row_time.unwrap_or(Duration::ZERO),
                observer: Arc::new(ModelObserver {
                    metrics: Arc::clone(&metrics),
                    statistics: Arc::clone(&statistics),
                }),
            },
        )
        .map_err(|error| LoadError::passing(format!("no thread for the model: {error}")))?;
        metrics.loaded(started.elapsed(), PLATFORM, &found);
        Ok(ServingModel {
            metrics,
            statistics,
            description: ModelDescription {
                embedding: embedder.as_ref().ok().map(|embedder| embedder.describe()),
                versions: vec![model.version.clone()],
                name: model.name,
                version: model.version,
                platform: PLATFORM,
                signature: Arc::new(signature),
                batching: proof.batching,
            },
            worker,
            embedder,
            labels,
        })
    })
    .await
}

/// Does what blocks; a panic in it is this model's failure only.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(LoadError::permanent(format!(
                "loading the model failed: {error}"
            )))
        })
}

/// A model in the runtime, and what is known of it by then.
struct Opened {
    engine: OnnxEngine,
    file: ModelFile,
    digest: String,
    outcome: Outcome,
}

/// The model of a source within reach, checked, tried in a child process and opened. Dropping the
/// future ends a preflight.
async fn opened(
    located: &LocalArtifact,
    digest: Option<String>,
    gpu: bool,
    options: &LoaderOptions,
) -> Result<Opened, LoadError> {
    let (located, options) = (located.clone(), options.clone());
    let (located, file, found) = blocking(move || {
        let (file, found) = verified(&located, digest.as_deref())?;
        Ok((located, file, found))
    })
    .await?;
    let turn = preflight::turn().await;
    let (hold, watch) = preflight::watch();
    let opened = blocking(move || {
        let _turn = turn;
        // A GPU may admit one process only.
        let outcome = if options.bounds.preflight && preflight::is_able() && !gpu {
            tried(&file, &located, &found, &options, watch)?
        } else {
            Outcome::default()
        };
        let engine = open(&file, &located, gpu, &options)?;
        // The runtime opened the files by name: they must be those that were checked.
        file.unchanged().map_err(|error| {
            LoadError::passing(format!("model source {}: {error}", located.shown))
        })?;
        Ok(Opened {
            engine,
            file,
            digest: found,
            outcome,
        })
    })
    .await;
    drop(hold);
    opened
}

/// Tries a model, unless it has passed before.
fn tried(
    file: &ModelFile,
    located: &LocalArtifact,
    found: &str,
    options: &LoaderOptions,
    watch: preflight::Watch,
) -> Result<Outcome, LoadError> {
    // Without the library there is nothing to try with; opening the model says what to do.
    let Ok(library) = Runtime::find(options.runtime_library.as_deref()) else {
        return Ok(Outcome::default());
    };
    let passed = PreflightCache::new(
        &options.source.cache_dir,
        found,
        &file.weights_identity(),
        &library,
        options.bounds.memory,
    );
    if let Some(outcome) = passed.recall() {
        return Ok(outcome);
    }
    let outcome = std::thread::scope(|scope| {
        // Opened here too, while the child loads the model: it takes as long as a small one.
        let named = options.runtime_library.as_deref();
        scope.spawn(move || Runtime::open(named));
        preflight::attempt(file, located, &library, options.bounds, watch)
    })?;
    if let Some(outcome) = &outcome {
        passed.mark(outcome);
    }
    Ok(outcome.unwrap_or_default())
}

/// What stands beside the model to embed texts by. Most models are no embedders, so nothing fails
/// for that; of a folder with a tokenizer, its owner wants to know.
fn embedder(
    located: &LocalArtifact,
    signature: &Signature,
    model: &ModelConfig,
) -> Result<Arc<Embedder>, String> {
    let embedder = Embedder::load(&located.path, signature);
    match &embedder {
        Ok(embedder) => {
            let described = embedder.describe();
            tracing::info!(
                model = model.name,
                version = model.version,
                max_tokens = described.max_tokens,
                pooling = described.pooling,
                normalised = described.normalised,
                "the model embeds texts"
            );
        }
        Err(reason) if located.path.join("tokenizer.json").exists() => tracing::warn!(
            model = model.name,
            version = model.version,
            reason,
            "the model's folder has a tokenizer, and yet it embeds no texts"
        ),
        Err(_) => {}
    }
    embedder.map(Arc::new)
}

/// The names of classes in the file. A model answers without them, so nothing fails for that.
fn labels(file: &ModelFile, model: &ModelConfig) -> Arc<[String]> {
    file.labels().map(Arc::from).unwrap_or_else(|reason| {
        tracing::warn!(
            model = model.name,
            version = model.version,
            reason,
            "the labels in the file's metadata cannot be used; classes are told without them"
        );
        Arc::default()
    })
}

/// Triton's name for models of ONNX Runtime.
const PLATFORM: &str = "onnxruntime_onnx";

/// Loads the model of a source and tells what it takes and gives, without serving it.
///
/// # Errors
/// [`LoadError`].
pub async fn check(source: &SourceConfig, options: &LoaderOptions) -> Result<Signature, LoadError> {
    let located = locate(source, &options.source).await?;
    let opened = opened(&located, source.digest.clone(), false, options).await?;
    Ok(opened.engine.signature().clone())
}

/// The checked file and its digest.
fn verified(
    located: &LocalArtifact,
    declared: Option<&str>,
) -> Result<(ModelFile, String), LoadError> {
    let unusable = |error: &dyn std::fmt::Display| {
        LoadError::permanent(format!(
            "model source {}: {error}. Correct model.source.uri or the file",
            located.shown
        ))
    };
    let file = match ModelFile::check(&located.path) {
        Ok(file) => file,
        Err(error) => {
            // The wrong file is better named as such than by what is odd in it. What is no file is
            // not read: a pipe or a device may have no end.
            if let (Some(_), FileError::NotOnnx(_)) = (declared, &error)
                && let Ok(found) = digest::of_file(&located.path)
            {
                digest::compare(&located.shown, declared, &found)?;
            }
            return Err(unusable(&error));
        }
    };
    let found = digest::of_file(file.path()).map_err(|error| unusable(&error))?;
    digest::compare(&located.shown, declared, &found)?;
    Ok((file, found))
}

fn open(
    file: &ModelFile,
    located: &LocalArtifact,
    gpu: bool,
    options: &LoaderOptions,
) -> Result<OnnxEngine, LoadError> {
    let runtime = Runtime::open(options.runtime_library.as_deref()).map_err(|error| LoadError {
        summary: Some("ONNX Runtime cannot be used; the log says why and what to do"),
        ..LoadError::permanent(error.to_string())
    })?;
    runtime.bound_memory(options.bounds.memory);
    let session = SessionOptions {
        device: if gpu { Device::Cuda } else { Device::Cpu },
        threads: options.threads,
    };
    OnnxEngine::open(&runtime, file, session)
        .map_err(|error| LoadError::permanent(format!("model source {}: {error}", located.shown)))
}

fn optional_inputs(signature: &Signature) -> Vec<String> {
    signature
        .inputs
        .iter()
        .filter(|input| input.optional)
        .map(|input| input.name.clone())
        .collect()
}
