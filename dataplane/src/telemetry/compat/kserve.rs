//! KServe's names. Serin has no explainers, so `request_explain_seconds` is not there.

use std::sync::Arc;

use super::sums::phases;
use super::writer::{Kind, Writer};
use crate::telemetry::metrics::{ModelMetrics, Phase};

pub(super) fn write(models: &[Arc<ModelMetrics>], to: &mut Writer<'_>) {
    for (name, help, phase) in [
        (
            "request_preprocess_seconds",
            "Reading inputs",
            Phase::Decode,
        ),
        (
            "request_predict_seconds",
            "Running the model",
            Phase::Compute,
        ),
        (
            "request_postprocess_seconds",
            "Writing outputs",
            Phase::Encode,
        ),
    ] {
        to.family(name, Kind::Histogram, help);
        // The models are in the order of their names: versions of one stand together.
        for versions in models.chunk_by(|one, next| one.name() == next.name()) {
            let labels = [("model_name", versions.first().map_or("", |one| one.name()))];
            to.histogram(name, &labels, &phases(versions, phase));
        }
    }
}
