//! Other servers' metric names, for dashboards and gateways that read these.
//!
//! They show the counters, gauges and histograms that Serin's own names show, read when a page is
//! rendered: a request is counted once, and two names of one figure cannot differ. Histograms keep
//! Serin's buckets. Only configured models are shown: requests to unknown ones are no model's load.

mod kserve;
mod sums;
mod triton;
mod vllm;
mod writer;

use std::time::SystemTime;

use serin_crds::contract::policy::CompatMetrics;

use self::writer::Writer;
use super::metrics::Metrics;

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

#[cfg(test)]
mod tests;
