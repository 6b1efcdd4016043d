//! What runs a model: a small surface, so that engines can be added and faked.
//!
//! `onnx::raw` alone has unsafe code: it wraps what `ort` does not of the runtime's C interface.
#![deny(unsafe_code)]

pub mod artifact;
pub mod backend;
pub mod batch;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod onnx;
mod pinned;
pub mod text;

pub use artifact::Artifact;
pub use backend::{Backend, Backends, OpenError, OpenOptions, Opened};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

    /// What the model's structure says of its rows; nothing by default.
    fn row_structure(&self) -> RowStructure {
        RowStructure::default()
    }

    /// An engine of the same model, for comparisons only, whose signature has further outputs after
    /// those of this one: floats from which outputs of whole numbers and strings are made.
    ///
    /// # Errors
    /// Why there is none.
    fn with_floats(&self) -> Result<Box<dyn Engine>, String> {
        Err("the engine shows no others".to_owned())
    }
}

/// What the structure of a model says of its rows, without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowStructure {
    /// The sentence that says which operator mixes rows, where one is shown to.
    pub coupled: Option<String>,
    /// Whether it computes with quantised numbers.
    pub quantised: bool,
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

/// What this thread has had of a processor's time.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
