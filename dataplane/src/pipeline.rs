//! The path of a request, top to bottom.

use crate::fault::Fault;
use crate::types::{Call, ModelRef, Reply, Signature};

pub use crate::types::Batching;

/// What the protocols need of everything below them.
pub trait Serve: Send + Sync + 'static {
    /// Runs one request. Dropping the future cancels it: queued rows are not run, and a run that
    /// nobody waits for any more is stopped.
    fn serve(&self, call: Call) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// What a model takes and gives, to read a request by.
    ///
    /// # Errors
    /// `NotFound` for an unknown model or version, `NotReady` while it loads or if it failed to.
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault>;

    /// Every configured model, loaded or not, in configuration order.
    fn models(&self) -> Vec<ModelState>;
}

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
    pub signature: std::sync::Arc<Signature>,
    /// Whether rows of several requests may run together, and why (not).
    pub batching: Batching,
}

/// A configured model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it can answer.
    pub ready: bool,
    /// Why not, for people.
    pub reason: Option<String>,
}
