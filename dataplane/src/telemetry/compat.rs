//! Other servers' metric names, for dashboards and gateways that read these.
//!
//! They show the counters, gauges and histograms that Serin's own names show, read when a page is
//! rendered: a request is counted once, and two names of one figure cannot differ. Histograms keep
//! Serin's buckets. Only configured models are shown: requests to unknown ones are no model's load.

mod kserve;
mod triton;
mod vllm;
mod writer;

use std::sync::Arc;

use std::time::SystemTime;

use serin_crds::contract::policy::CompatMetrics;

use self::writer::Writer;
use super::metrics::{Figures, LATENCY, Metrics, ModelMetrics, Phase};

/// Appends the names of these servers to `out`, which is in OpenMetrics if `open` is set, else in
/// the classic format.
pub(super) fn append(out: &mut String, metrics: &Metrics, names: &[CompatMetrics], open: bool) {
    if names.is_empty() {
        return;
    }
    let models = metrics.configured();
    let mut writer = Writer { out, open };
    for server in names {
        match server {
            CompatMetrics::Vllm => vllm::write(&models, SystemTime::now(), &mut writer),
            CompatMetrics::Triton => triton::write(&models, &mut writer),
            CompatMetrics::KServe => kserve::write(&models, &mut writer),
        }
    }
}

/// The durations of requests to these models that ended in `outcome`.
fn durations(models: &[Arc<ModelMetrics>], outcome: &str) -> Figures {
    let mut sum = Figures::new(LATENCY);
    for model in models {
        model.add_durations(outcome, &mut sum);
    }
    sum
}

/// The time that requests to these models spent in one phase.
fn phases(models: &[Arc<ModelMetrics>], phase: Phase) -> Figures {
    let mut sum = Figures::new(LATENCY);
    for model in models {
        model.add_phase(phase, &mut sum);
    }
    sum
}

#[cfg(test)]
mod tests;
