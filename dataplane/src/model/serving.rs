//! A model that answers requests.

use std::sync::Arc;

use crate::telemetry::{InferenceCounters, ModelMetrics};
use serin_core::types::ModelDescription;
use serin_engine::batch::{Counts, InputGuard, Worker};
use serin_engine::text::Embedder;

/// A loaded model. Requests that hold it are served by it, whatever replaces it meanwhile.
pub struct ServingModel {
    /// The model in metadata.
    pub description: Arc<ModelDescription>,
    /// Runs requests.
    pub runner: Runner,
    /// Refuses inputs that would end the process.
    pub guard: InputGuard,
    /// Metrics of its requests.
    pub metrics: Arc<ModelMetrics>,
    /// Converts texts to its inputs and its outputs to vectors; or why the model is no embedder.
    pub embedder: Result<Arc<Embedder>, String>,
    /// Statistics of its requests.
    pub statistics: Arc<InferenceCounters>,
    /// Names of the classes that its outputs score, in order; empty where the file has none.
    pub labels: Arc<[String]>,
}

/// How a model runs requests.
pub enum Runner {
    /// Each request is one run, shared with others where rows may be merged.
    Batched(Worker),
}

impl Runner {
    /// Requests waiting and running, and runs so far.
    pub fn counts(&self) -> Counts {
        match self {
            Self::Batched(worker) => worker.counts(),
        }
    }
}
