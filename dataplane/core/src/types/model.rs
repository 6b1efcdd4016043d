//! Models as callers see them.

use std::sync::Arc;

use super::{Batching, Signature};

/// A loaded model as metadata shows it.
#[derive(Clone, Debug)]
pub struct ModelDescription {
    /// Its name.
    pub name: String,
    /// The version meant.
    pub version: String,
    /// Every version of that name.
    pub versions: Vec<String>,
    /// The protocol's name for the engine, `onnxruntime_onnx`.
    pub platform: &'static str,
    /// What it takes and gives.
    pub signature: Arc<Signature>,
    /// Whether rows of several requests may run together, and why (not).
    pub batching: Batching,
    /// How it embeds texts, if it does.
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
    /// Where it stands.
    pub availability: Availability,
    /// Why it does not answer, for people.
    pub reason: Option<String>,
}

/// Where a configured model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It has not answered yet; what keeps it from it may pass.
    Loading,
    /// It answers.
    Ready,
    /// It could not be loaded.
    Failed,
    /// Somebody unloaded it; requests that came before that are being finished.
    Unloading,
    /// Somebody unloaded it.
    Unloaded,
    /// Somebody unloaded it, and loads it again.
    Reloading,
}

impl ModelState {
    /// Whether it can answer.
    pub fn ready(&self) -> bool {
        self.availability == Availability::Ready
    }

    /// Whether the process is short of it. A model that somebody unloaded is no outage.
    pub fn blocks_readiness(&self) -> bool {
        matches!(
            self.availability,
            Availability::Loading | Availability::Failed
        )
    }
}
