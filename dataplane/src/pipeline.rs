//! The path of a request, top to bottom.

mod check;
mod classification;
mod control;

use std::sync::Arc;
use std::time::Instant;

use crate::admission::submit;
use crate::model::{Registry, Repository, Runner};
use crate::runtime::cpu_pool::CpuPool;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, ModelRef, Reply, RequestedOutput, Tensor};
use serin_engine::batch::{WhenBusy, Work};
use serin_engine::text::Embedder;

pub use self::control::Control;
pub use serin_core::types::{Batching, ModelDescription, ModelState};

/// What the protocols need of everything below them.
pub trait Serve: Control {
    /// Runs one request. Dropping the future cancels it: queued rows are not run, and a run that
    /// nobody waits for any more is stopped.
    fn serve(&self, call: Call) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// As [`serve`](Self::serve), but one that a busy model has no room for waits within its time
    /// instead of being refused, and is counted once, however often it is tried.
    fn infer_queued(&self, call: Call) -> impl Future<Output = Result<Reply, Fault>> + Send {
        self.serve(call)
    }

    /// What a model takes and gives, to read a request by.
    ///
    /// # Errors
    /// `NotFound` for an unknown model or version, `NotReady` while it loads or if it failed to.
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault>;

    /// Every configured model, loaded or not, in configuration order.
    fn models(&self) -> Vec<ModelState>;

    /// What makes texts a model's inputs, and its outputs vectors.
    ///
    /// # Errors
    /// As [`describe`](Self::describe), and `Unsupported` for a model that is no embedder.
    fn embedder(&self, model: &ModelRef) -> Result<Arc<Embedder>, Fault> {
        let name = self.describe(model)?.name;
        Err(not_an_embedder(&name, "it is none"))
    }
}

fn not_an_embedder(model: &str, reason: &str) -> Fault {
    let message = format!("model '{model}' gives no embeddings: {reason}");
    Fault::new(FaultKind::Unsupported, "not_an_embedder", message).with_param("model")
}

/// Serves from the registry's models.
pub struct Pipeline {
    registry: Arc<Registry>,
    /// Present where the service lets callers load and unload models.
    repository: Option<Repository>,
    heavy: CpuPool,
}

impl Pipeline {
    /// Serves the models of `registry`, each from when it is loaded.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            repository: None,
            heavy: CpuPool::new(),
        }
    }

    /// Lets callers load and unload models.
    #[must_use]
    pub fn with_repository_control(mut self, repository: Repository) -> Self {
        self.repository = Some(repository);
        self
    }
}

/// Scores above this many are ranked off the network's threads.
const HEAVY_SCORES: usize = 16 << 10;

impl Pipeline {
    async fn run(&self, call: Call, when_busy: WhenBusy) -> Result<Reply, Fault> {
        let model = self.registry.resolve(&call.model)?;
        let counted = model.statistics.request(Instant::now());
        let Call {
            meta,
            inputs,
            outputs,
            ..
        } = call;
        let description = &model.description;
        check::inputs(&inputs, &description.signature, &description.batching)?;
        let places = check::outputs(&outputs, &description.signature)?;
        let work = Work {
            inputs,
            outputs: places,
            deadline: meta.deadline,
            priority: meta.priority,
        };
        let ran = match &model.runner {
            Runner::Batched(worker) => submit(worker, work, when_busy).await,
        };
        let mut answer = ran.map_err(|rejected| {
            if let Some(reason) = rejected.reason {
                model.metrics.rejected(reason);
            }
            rejected.fault
        })?;
        if outputs.iter().any(|output| output.classes.is_some()) {
            answer.outputs = self
                .classified(answer.outputs, outputs, &model.labels)
                .await?;
        }
        counted.answered();
        Ok(Reply {
            model_name: description.name.clone(),
            model_version: description.version.clone(),
            outputs: answer.outputs,
            timing: answer.timing,
        })
    }

    /// The outputs, each as its request wants it.
    async fn classified(
        &self,
        tensors: Vec<Tensor>,
        wanted: Vec<RequestedOutput>,
        labels: &Arc<[String]>,
    ) -> Result<Vec<Tensor>, Fault> {
        let scores: usize = tensors
            .iter()
            .map(|tensor| Tensor::element_count(&tensor.shape).unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add);
        let labels = Arc::clone(labels);
        let work = move || {
            tensors
                .into_iter()
                .zip(wanted)
                .map(|(tensor, wanted)| match wanted.classes {
                    None => Ok(tensor),
                    Some(classes) => classification::classify(&tensor, classes, &labels),
                })
                .collect()
        };
        if scores <= HEAVY_SCORES {
            return work();
        }
        self.heavy.run(work).await?
    }
}

impl Serve for Pipeline {
    async fn serve(&self, call: Call) -> Result<Reply, Fault> {
        self.run(call, WhenBusy::Refuse).await
    }

    async fn infer_queued(&self, call: Call) -> Result<Reply, Fault> {
        self.run(call, WhenBusy::Wait).await
    }

    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault> {
        let model = self.registry.resolve(model)?;
        let mut description = ModelDescription::clone(&model.description);
        description.versions = self.registry.versions(&description.name);
        Ok(description)
    }

    fn models(&self) -> Vec<ModelState> {
        self.registry.states()
    }

    fn embedder(&self, model: &ModelRef) -> Result<Arc<Embedder>, Fault> {
        let loaded = self.registry.resolve(model)?;
        loaded
            .embedder
            .clone()
            .map_err(|reason| not_an_embedder(&loaded.description.name, &reason))
    }
}
