//! What the process tells about itself: metrics, logs and traces.

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

pub use exposition::Exposition;
pub use metrics::{Metrics, ModelMetrics};
pub use model_observer::ModelObserver;
pub use record::{RequestInfo, RequestRecord};
pub use statistics::InferenceCounters;
pub use traces::{Trace, Tracer, TracerHandle};

/// What monitoring is told besides our own metrics and logs; nothing by default.
#[derive(Clone, Default)]
pub struct Monitoring {
    /// Traces requests, as the policy in force says.
    pub tracer: TracerHandle,
}
