//! From a configured model to one that answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_crds::contract::pod_config::ModelConfig;
use serin_crds::inference_service::Batching as BatchingChoice;

use super::error::LoadError;
use super::open::{Asked, OpenedModel, blocking, open};
use super::options::LoaderOptions;
use super::preflight::{Outcome, merging_limits};
use super::serving::{Runner, ServingModel};
use super::source::locate;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::telemetry::{InferenceCounters, ModelMetrics, ModelObserver};
use serin_core::types::{Batching, ModelDescription, Signature};
use serin_engine::batch::{self, InputGuard, Proof, Worker, WorkerOptions, prove};
use serin_engine::text::{Embedder, NoEmbedder};
use serin_engine::{Artifact, Engine, Opened};

/// Requests that may wait for one model; the next one is answered with 429.
const QUEUE: usize = 256;

/// The counters of a version, whatever is loaded for it.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) metrics: Arc<ModelMetrics>,
    pub(super) statistics: Arc<InferenceCounters>,
}

/// Loads one model: locates and opens it, warms it up, decides about batching, starts its threads.
/// `starting` advances to `Warming` when the model first runs; it is absent where the process serves
/// already.
///
/// # Errors
/// [`LoadError`].
pub(super) async fn load(
    model: &ModelConfig,
    options: &LoaderOptions,
    counters: &Counters,
    starting: Option<&Lifecycle>,
) -> Result<ServingModel, LoadError> {
    let started = Instant::now();
    let located = locate(&model.source, &options.source).await?;
    let asked = Asked {
        digest: model.source.digest.clone(),
        gpu: model.gpu,
        merging: merges(model),
    };
    let opened = open(&located, asked, options).await?;
    let (model, counters) = (model.clone(), counters.clone());
    let starting = starting.cloned();
    blocking(move || {
        if let Some(lifecycle) = starting {
            lifecycle.advance(Phase::Warming);
        }
        let source = located.shown;
        serve(&model, opened, &counters, &source, started)
    })
    .await
}

/// Warms an opened model up and starts the threads that run its requests.
fn serve(
    model: &ModelConfig,
    OpenedModel {
        opened,
        artifact,
        tried,
        embedder,
    }: OpenedModel,
    counters: &Counters,
    source: &str,
    started: Instant,
) -> Result<ServingModel, LoadError> {
    let Opened {
        mut engine,
        platform,
        labels,
    } = opened;
    let guard = guard(engine.signature(), tried.as_ref());
    let proof = proof(engine.as_mut(), tried, merges(model));
    let signature = engine.signature().clone();
    tell_embedder(embedder.as_ref(), &artifact, model);
    let embedder = embedder.map(Arc::new).map_err(|why| why.to_string());
    let labels = usable_labels(labels, model);
    let digest = artifact.digest.as_deref().unwrap_or_default();
    tracing::info!(
        model = model.name,
        version = model.version,
        source,
        digest,
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
    let Counters {
        metrics,
        statistics,
    } = counters.clone();
    let worker = Worker::start(
        vec![engine],
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
    metrics.loaded(started.elapsed(), platform, digest);
    Ok(ServingModel {
        metrics,
        statistics,
        description: Arc::new(ModelDescription {
            embedding: embedder.as_ref().ok().map(|embedder| embedder.describe()),
            versions: vec![model.version.clone()],
            name: model.name.clone(),
            version: model.version.clone(),
            platform,
            signature: Arc::new(signature),
            batching: proof.batching,
        }),
        runner: Runner::Batched(worker),
        guard,
        embedder,
        labels,
    })
}

/// Whether requests may share a run, as far as the configuration says.
fn merges(model: &ModelConfig) -> bool {
    model.batching.unwrap_or_default() == BatchingChoice::Auto
}

/// Which inputs are refused: without a trial, those that need not be there for any model to be of use.
fn guard(signature: &Signature, tried: Option<&Outcome>) -> InputGuard {
    match tried {
        Some(outcome) => InputGuard::new(signature, outcome.edges_tried, &outcome.fatal_edges),
        None => InputGuard::new(signature, 0, &[]),
    }
}

/// Whether rows may be merged, the model being warm afterwards. What the child found stands; of what it
/// could not end or answer, nothing is begun here.
fn proof(engine: &mut dyn Engine, tried: Option<Outcome>, merging: bool) -> Proof {
    let budget = batch::Limits::default().budget;
    match tried {
        None => prove(engine, merging_limits(merging, budget)),
        Some(Outcome {
            unanswered: Some(reason),
            ..
        }) => Proof {
            batching: Batching::off(reason),
            row_time: None,
        },
        Some(Outcome { merging, .. }) => {
            // The child survived the same run.
            let warm = batch::warm_up(engine, budget);
            let found = merging.map(Proof::from);
            found.unwrap_or_else(|| Proof {
                batching: Batching::off("it was not tried with several rows"),
                row_time: warm.ok().map(|warm| warm.row_time),
            })
        }
    }
}

/// Logs what makes a model an embedder. Most models are none, so that is no failure; of a folder with a
/// tokenizer, its owner is warned.
fn tell_embedder(
    embedder: Result<&Embedder, &NoEmbedder>,
    artifact: &Artifact,
    model: &ModelConfig,
) {
    match embedder {
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
        Err(reason) if artifact.place().join("tokenizer.json").exists() => tracing::warn!(
            model = model.name,
            version = model.version,
            %reason,
            "the model's folder has a tokenizer, and yet it embeds no texts"
        ),
        Err(_) => {}
    }
}

/// The names of classes, none where they cannot be used: a model answers without them.
fn usable_labels(labels: Result<Vec<String>, String>, model: &ModelConfig) -> Arc<[String]> {
    labels.map(Arc::from).unwrap_or_else(|reason| {
        tracing::warn!(
            model = model.name,
            version = model.version,
            reason,
            "the labels in the file's metadata cannot be used; classes are answered without them"
        );
        Arc::default()
    })
}

fn optional_inputs(signature: &Signature) -> Vec<String> {
    signature
        .inputs
        .iter()
        .filter(|input| input.optional)
        .map(|input| input.name.clone())
        .collect()
}
