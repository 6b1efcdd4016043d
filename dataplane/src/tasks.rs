//! Tasks. Each converts its input to runs of a model, and their
//! outputs its answer. Nothing here knows how a request came.

pub mod embed;
pub mod infer;

use std::sync::Arc;

use serin_core::fault::Fault;
use serin_core::types::{CallMeta, Timing};

use crate::pipeline::{Infer, WhenBusy};
use crate::runtime::cpu_pool::CpuPool;

/// What a task is run on.
pub struct TaskRun<'a, S: Infer> {
    /// Runs requests.
    pub service: &'a S,
    /// The model that was chosen.
    pub model: &'a Arc<S::Model>,
    /// Deadline, priority and caller.
    pub meta: CallMeta,
    /// What happens where the model has no room.
    pub when_busy: WhenBusy,
    /// Where long work is done.
    pub cpu_pool: &'a CpuPool,
    /// Where every run is added.
    pub usage: &'a mut Usage,
}

/// What a task took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Where the time of its runs went.
    pub timing: Timing,
    /// Tokens read of its texts.
    pub tokens: usize,
}

/// One request for a model, decoded.
pub trait Task: Send {
    /// What comes of it.
    type Output: Send;

    /// Bytes that running takes besides the decoded request, outside the model's memory: an engine
    /// copies inputs that are not aligned, that are merged, or that are texts.
    fn copies(&self) -> usize;

    /// Runs it. Dropping the future cancels it.
    ///
    /// # Errors
    /// Those of [`Infer::infer`], and the task's own.
    fn run<S: Infer>(
        self,
        on: TaskRun<'_, S>,
    ) -> impl Future<Output = Result<Self::Output, Fault>> + Send;
}
