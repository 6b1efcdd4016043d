//! One request on its way down, and its reply on the way up.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::Tensor;

/// Most classes that a request may ask for of a row (the classification extension).
pub const MOST_CLASSES: usize = 1000;

/// The model a caller names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    /// Its name.
    pub name: String,
    /// A version, or the default one.
    pub version: Option<String>,
}

/// Whom requests of one caller belong to: callers take turns at a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallerId(pub u64);

/// What decides a request's place among those of other callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub caller: CallerId,
    /// It goes before all that are not preferred. Given by access, never asked for by a request.
    pub preferred: bool,
}

/// What is known of a request besides its tensors.
#[derive(Clone, Copy, Debug)]
pub struct CallMeta {
    /// When it is no longer worth computing.
    pub deadline: Instant,
    /// Priority among queued requests of the same caller; 1 is the highest, 0 the default.
    pub priority: u64,
    /// Its place among those of other callers.
    pub standing: Standing,
}

/// One inference request, independent of the protocol it came by.
#[derive(Clone, Debug)]
pub struct Call {
    /// Everything but the tensors.
    pub meta: CallMeta,
    /// The inputs as sent; names not yet compared with the model's.
    pub inputs: Vec<Tensor>,
    /// Names of the outputs to return, in this order; empty for all.
    pub outputs: Vec<RequestedOutput>,
}

/// An output the caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Its name.
    pub name: String,
    /// Instead of its values, the highest so many of each row, as text (the classification
    /// extension).
    pub classes: Option<NonZeroUsize>,
}

impl RequestedOutput {
    /// The values of an output.
    #[inline]
    pub fn values(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            classes: None,
        }
    }
}

/// The outputs of one run: an answer, or a part of one.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the model that ran.
    pub model_name: String,
    /// Version of the model that ran.
    pub model_version: String,
    /// The outputs asked for, in the order asked for.
    pub outputs: Vec<Tensor>,
    /// Where the time went.
    pub timing: Timing,
}

impl Outputs {
    /// Bytes that all outputs take.
    #[inline]
    pub fn held(&self) -> usize {
        self.outputs.iter().map(Tensor::held).sum()
    }

    /// Bytes of all outputs' values.
    #[inline]
    pub fn byte_size(&self) -> usize {
        self.outputs.iter().map(Tensor::byte_size).sum()
    }
}

/// Where a request's time went; the phases add up to no more than the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From admission until the engine took it.
    pub queue: Duration,
    /// Joining the inputs of requests that ran together; zero for one that ran alone.
    pub batch: Duration,
    /// Running the model.
    pub compute: Duration,
    /// Rows that ran together, this request's included.
    pub batch_rows: usize,
    /// Number of the run, the same for requests that ran together.
    pub run: u64,
}

impl Timing {
    /// The time of these runs and of one more after them.
    #[inline]
    #[must_use]
    pub fn then(self, run: Self) -> Self {
        Self {
            queue: self.queue + run.queue,
            batch: self.batch + run.batch,
            compute: self.compute + run.compute,
            batch_rows: self.batch_rows.max(run.batch_rows),
            run: run.run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_several_runs_add_up() {
        let run = |millis, batch_rows| Timing {
            queue: Duration::from_millis(millis),
            compute: Duration::from_millis(2 * millis),
            batch_rows,
            ..Timing::default()
        };
        assert_eq!(Timing::default().then(run(1, 9)).then(run(2, 4)), run(3, 9));
    }
}
