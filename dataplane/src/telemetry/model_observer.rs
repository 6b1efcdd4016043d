//! Counts what a model's queue and engine threads report.

use std::sync::Arc;

use serin_engine::batch::{Execution, Observer};

use super::{InferenceCounters, ModelMetrics};

/// Writes a worker's events to the metrics and to the statistics of its model.
pub struct ModelObserver {
    /// The model's metrics.
    pub metrics: Arc<ModelMetrics>,
    /// The model's statistics.
    pub statistics: Arc<InferenceCounters>,
}

impl Observer for ModelObserver {
    fn enqueued(&self) {
        self.metrics.enqueued();
    }

    fn dequeued(&self) {
        self.metrics.dequeued();
    }

    fn rejected(&self, reason: &'static str) {
        self.metrics.rejected(reason);
    }

    fn ran(&self, rows: usize) {
        self.metrics.ran(rows);
    }

    fn answered(&self, run: &Execution) {
        self.statistics.ran(run);
    }
}
