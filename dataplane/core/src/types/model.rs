//! Models as the interfaces describe them.

use std::sync::Arc;

use super::{Batching, Signature};

/// A loaded model as metadata shows it.
#[derive(Clone, Debug)]
pub struct ModelDescription {
    /// Its name.
    pub name: String,
    /// The version described.
    pub version: String,
    /// Every version of that name.
    pub versions: Vec<String>,
    /// The protocol's name for the engine, `onnxruntime_onnx`.
    pub platform: &'static str,
    /// Its inputs and outputs.
    pub signature: Arc<Signature>,
    /// Whether rows of several requests may run together, and why (not).
    pub batching: Batching,
    /// How it embeds texts; `None` for other models.
    pub embedding: Option<Embedding>,
}

/// How a model embeds texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// The most tokens of one text.
    pub max_tokens: usize,
    /// How the states of tokens become a vector: `mean`, `cls`, `last-token`, `max`, or `model`
    /// where the model does it itself.
    pub pooling: &'static str,
    /// Whether vectors are scaled to length 1 after that.
    pub normalised: bool,
}

/// A configured model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its state.
    pub availability: Availability,
    /// Why it does not answer, as text for people.
    pub reason: Option<String>,
}

/// The state of a configured model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It has not been loaded yet; the cause of a delay may pass.
    Loading,
    /// It answers.
    Ready,
    /// It could not be loaded.
    Failed,
    /// It is being unloaded; requests received before are finished.
    Unloading,
    /// It was unloaded on request.
    Unloaded,
    /// It was unloaded and is being loaded again.
    Reloading,
}

impl ModelState {
    /// Whether it can answer.
    pub fn ready(&self) -> bool {
        self.availability == Availability::Ready
    }

    /// Whether the process is not ready without it. A model that was unloaded on request is no outage.
    pub fn blocks_readiness(&self) -> bool {
        matches!(
            self.availability,
            Availability::Loading | Availability::Failed
        )
    }
}
