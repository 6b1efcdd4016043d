//! Whether a model's rows may be merged, as it goes from the child to the process that serves, and to
//! its cache.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_core::types::Batching;
use serin_engine::batch::{Limits, Proof};

use super::readable::readable;

/// What [`serin_engine::batch::prove`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::model) struct Merging {
    /// The most rows of one run.
    max_rows: usize,
    /// The reason, for people.
    reason: String,
    /// Time of one row, in nanoseconds.
    row_ns: Option<u64>,
}

impl From<Proof> for Merging {
    fn from(proof: Proof) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            max_rows: proof.batching.max_rows,
            reason: proof.batching.reason,
            row_ns: proof.row_time.map(nanos),
        }
    }
}

impl From<Merging> for Proof {
    fn from(merging: Merging) -> Self {
        // The child says it: no more than this process would ever merge.
        let most = Limits::default().max_rows;
        Self {
            batching: Batching {
                max_rows: merging.max_rows.clamp(1, most),
                reason: readable(&merging.reason),
            },
            row_time: merging.row_ns.map(Duration::from_nanos),
        }
    }
}

/// The bounds of a probe.
pub(in crate::model) fn limits(merging: bool, budget: Duration) -> Limits {
    let usual = Limits::default();
    Limits {
        max_rows: if merging { usual.max_rows } else { 1 },
        budget: budget.min(usual.budget),
        ..usual
    }
}
