//! Figures of several models, added up.

use std::sync::Arc;

use crate::telemetry::metrics::{Figures, LATENCY, ModelMetrics, Phase};

/// The durations of requests to these models that ended in `outcome`.
pub(super) fn durations(models: &[Arc<ModelMetrics>], outcome: &str) -> Figures {
    let mut sum = Figures::new(LATENCY);
    for model in models {
        model.add_durations(outcome, &mut sum);
    }
    sum
}

/// The time that requests to these models spent in one phase.
pub(super) fn phases(models: &[Arc<ModelMetrics>], phase: Phase) -> Figures {
    let mut sum = Figures::new(LATENCY);
    for model in models {
        model.add_phase(phase, &mut sum);
    }
    sum
}
