//! The traits of serving that the protocols use, and their implementation: resolve, check, queue, run.

mod check;
mod classification;
mod control;
mod reply;

use std::sync::Arc;
use std::time::Instant;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, ModelRef, Outputs, RequestedOutput, Tensor};
use serin_engine::batch::Work;
use serin_engine::text::Embedder;

use crate::admission::submit;
use crate::model::{Registry, Repository, Runner, ServingModel};
use crate::runtime::cpu_pool::CpuPool;

pub use self::control::{Catalog, RepositoryControl};
pub use self::reply::{Reply, ReplyStream};
pub use serin_core::types::{Batching, ModelDescription, ModelState};
pub use serin_engine::batch::WhenBusy;

/// A loaded model, as requests for it see it.
pub trait Served: Send + Sync + 'static {
    /// Its description: name, version, inputs, outputs.
    fn description(&self) -> &ModelDescription;

    /// Converts texts to its inputs and its outputs to vectors.
    ///
    /// # Errors
    /// `Unsupported` for a model that is no embedder.
    fn embedder(&self) -> Result<&Arc<Embedder>, Fault> {
        Err(not_an_embedder(&self.description().name, "it is none"))
    }
}

/// Runs requests.
pub trait Infer: Send + Sync + 'static {
    /// A loaded model. A request that holds it is answered by it, whatever is loaded meanwhile.
    type Model: Served;

    /// The requested model.
    ///
    /// # Errors
    /// `NotFound` for an unknown model or version, `NotReady` while it loads or if it failed to.
    fn model(&self, model: &ModelRef) -> Result<Arc<Self::Model>, Fault>;

    /// Runs one request. Dropping the future cancels it: a queued request does not run, and a run
    /// whose requests are all cancelled is stopped.
    fn infer(
        &self,
        model: &Arc<Self::Model>,
        call: Call,
        when_busy: WhenBusy,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send;
}

/// All traits that the ports use.
pub trait Serve: Infer + Catalog + RepositoryControl {}

impl<S: Infer + Catalog + RepositoryControl> Serve for S {}

fn not_an_embedder(model: &str, reason: &str) -> Fault {
    let message = format!("model '{model}' gives no embeddings: {reason}");
    Fault::new(FaultKind::Unsupported, "not_an_embedder", message).with_param("model")
}

/// Serves the registry's models.
pub struct Pipeline {
    registry: Arc<Registry>,
    repository: Option<Repository>,
    cpu_pool: CpuPool,
}

impl Pipeline {
    /// Serves the models of `registry`, each as soon as it is loaded.
    pub fn new(registry: Arc<Registry>, cpu_pool: CpuPool) -> Self {
        Self {
            registry,
            repository: None,
            cpu_pool,
        }
    }

    /// Enables loading and unloading of models.
    #[must_use]
    pub fn with_repository_control(mut self, repository: Repository) -> Self {
        self.repository = Some(repository);
        self
    }
}

/// The most scores that are ranked on the request's own task; more are ranked in the CPU pool.
const INLINE_SCORES: usize = 16 << 10;

/// Bytes of inputs whose values are looked through on the request's own task; more are in the CPU pool.
const INLINE_VALUES: usize = 64 << 10;

impl Pipeline {
    /// The inputs again, unless they are of a kind that would end the process.
    async fn guarded(
        &self,
        model: &Arc<ServingModel>,
        inputs: Vec<Tensor>,
    ) -> Result<Vec<Tensor>, Fault> {
        let guard = &model.guard;
        guard
            .check_shapes(&inputs, &model.description.signature)
            .map_err(check::unsafe_input)?;
        if !guard.has_fatal_values() {
            return Ok(inputs);
        }
        let size = |input: &Tensor| input.byte_size().saturating_add(input.overhead());
        let bytes = inputs.iter().map(size).fold(0, usize::saturating_add);
        if bytes <= INLINE_VALUES {
            guard.check_values(&inputs).map_err(check::unsafe_input)?;
            return Ok(inputs);
        }
        let model = Arc::clone(model);
        let look = move || {
            let safe = model.guard.check_values(&inputs);
            safe.map(|()| inputs).map_err(check::unsafe_input)
        };
        self.cpu_pool.run(look).await?
    }

    /// The outputs in their requested form.
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
        if scores <= INLINE_SCORES {
            return work();
        }
        self.cpu_pool.run(work).await?
    }
}

impl Served for ServingModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn embedder(&self) -> Result<&Arc<Embedder>, Fault> {
        self.embedder
            .as_ref()
            .map_err(|reason| not_an_embedder(&self.description.name, reason))
    }
}

impl Infer for Pipeline {
    type Model = ServingModel;

    fn model(&self, model: &ModelRef) -> Result<Arc<ServingModel>, Fault> {
        self.registry.resolve(model)
    }

    async fn infer(
        &self,
        model: &Arc<ServingModel>,
        call: Call,
        when_busy: WhenBusy,
    ) -> Result<Reply, Fault> {
        let arrived = Instant::now();
        let counted = model.statistics.request(arrived);
        let Call {
            meta,
            inputs,
            outputs,
        } = call;
        let description = &model.description;
        check::inputs(&inputs, &description.signature, &description.batching)?;
        let inputs = self.guarded(model, inputs).await?;
        let indices = check::outputs(&outputs, &description.signature)?;
        let work = Work {
            inputs,
            outputs: indices,
            arrived,
            deadline: meta.deadline,
            priority: meta.priority,
            standing: meta.standing,
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
        Ok(Reply::Whole(Outputs {
            model_name: description.name.clone(),
            model_version: description.version.clone(),
            outputs: answer.outputs,
            timing: answer.timing,
        }))
    }
}
