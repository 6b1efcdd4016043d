//! What the process tells about itself: metrics and logs.

pub mod access_log;
pub mod exposition;
pub mod logging;
pub mod metrics;
mod process;
pub mod statistics;
pub mod story;

pub use exposition::Exposition;
pub use metrics::{Metrics, ModelMetrics};
pub use statistics::InferenceCounters;
pub use story::{About, Story};
