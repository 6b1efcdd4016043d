//! Metrics, logs and traces of the process.

pub mod access_log;
mod compat;
pub mod exposition;
pub mod logging;
pub mod metrics;
mod model_observer;
mod policy_metrics;
mod process;
pub mod record;
pub mod statistics;
pub mod traces;
mod truncate;

#[cfg(test)]
#[path = "../tests/harness/samples.rs"]
mod samples;

pub use exposition::Exposition;
pub use metrics::{Metrics, ModelMetrics};
pub use model_observer::ModelObserver;
pub use record::{RequestInfo, RequestRecord, Settled};
#[cfg(test)]
use samples::Samples;
pub use statistics::InferenceCounters;
pub use traces::{Trace, Tracer, TracerHandle};

/// What monitoring offers besides Serin's own metrics and logs; nothing by default.
#[derive(Clone, Default)]
pub struct Monitoring {
    /// Traces requests, as the policy in force says.
    pub tracer: TracerHandle,
}
