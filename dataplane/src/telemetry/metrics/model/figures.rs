//! The figures of one version of a model, read back for pages that show them by other names.

use std::sync::PoisonError;

use super::super::histogram::Figures;
use super::ModelMetrics;

/// A part of a request's time.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) enum Phase {
    /// Reading inputs.
    Decode,
    /// Waiting for the engine.
    Queue,
    /// Running the model.
    Compute,
    /// Writing outputs.
    Encode,
}

impl ModelMetrics {
    /// Requests being served, waiting ones included.
    pub(in crate::telemetry) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Requests waiting for the engine.
    pub(in crate::telemetry) fn waiting(&self) -> i64 {
        self.queue_depth.get()
    }

    /// Rows run.
    pub(in crate::telemetry) fn rows(&self) -> u64 {
        self.inferences.get()
    }

    /// Runs of the model.
    pub(in crate::telemetry) fn runs(&self) -> u64 {
        self.executions.get()
    }

    /// Seconds that fetching, loading and warming up took.
    pub(in crate::telemetry) fn load_seconds(&self) -> f64 {
        self.load_seconds.get()
    }

    /// Adds the time of requests that one phase took.
    pub(in crate::telemetry) fn add_phase(&self, phase: Phase, sum: &mut Figures) {
        sum.add(match phase {
            Phase::Decode => &self.decode,
            Phase::Queue => &self.queue,
            Phase::Compute => &self.compute,
            Phase::Encode => &self.encode,
        });
    }

    /// Adds the durations of requests that ended in `outcome`; there are as many as such requests.
    pub(in crate::telemetry) fn add_durations(&self, outcome: &str, sum: &mut Figures) {
        let durations = self.durations.read();
        for series in durations.unwrap_or_else(PoisonError::into_inner).iter() {
            if series.outcome == outcome {
                sum.add(&series.histogram);
            }
        }
    }
}
