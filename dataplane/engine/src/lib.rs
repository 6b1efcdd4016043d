//! What runs a model: a small surface, so that engines can be added and faked.

pub mod artifact;
pub mod backend;
pub mod batch;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod onnx;
pub mod text;

pub use artifact::Artifact;
pub use backend::{Backend, Backends, OpenError, OpenOptions, Opened};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serin_core::types::{Signature, Tensor};

/// Runs one loaded model on the thread that owns it.
pub trait Engine: Send {
    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// Runs once. `inputs` are named, of the model's datatypes, in any order, already checked
    /// against the signature; optional ones may be absent. `outputs` are the indices into
    /// `signature().outputs` to compute; the answer has them in that order.
    ///
    /// # Errors
    /// [`RunError`] when the model refuses the values or `stop` was raised.
    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
    ) -> Result<Vec<Tensor>, RunError>;
}

/// Why a run gave no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RunError {
    /// The model failed on these values; the runtime's reason, paths removed.
    #[error("{0}")]
    Failed(String),
    /// [`Stop`] was raised.
    #[error("stopped")]
    Stopped,
}

/// Asks a running model to stop at its next operator.
///
/// Cheap to clone; raised from any thread. The engine registers what has to happen at once.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<StopState>,
}

#[derive(Default)]
struct StopState {
    raised: AtomicBool,
    on_raise: std::sync::Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Stop {
    /// A stop that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it.
    pub fn raise(&self) {
        self.inner.raised.store(true, Ordering::SeqCst);
        if let Ok(hook) = self.inner.on_raise.lock()
            && let Some(hook) = hook.as_ref()
        {
            hook();
        }
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.inner.raised.load(Ordering::SeqCst)
    }

    /// Registers what raising does while a run lasts; runs it at once if already raised.
    /// `None` clears it.
    pub fn set_hook(&self, hook: Option<Box<dyn Fn() + Send>>) {
        if let Ok(mut slot) = self.inner.on_raise.lock() {
            *slot = hook;
            if self.is_raised()
                && let Some(hook) = slot.as_ref()
            {
                hook();
            }
        }
    }
}
