//! KServe's names. Serin has no explainers, so `request_explain_seconds` is not there.

use super::page::{Histogram, Page};
use super::writer::{Kind, Writer};

pub(super) fn write(page: &Page<'_>, to: &mut Writer<'_>) {
    for (name, help, phase) in [
        ("request_preprocess_seconds", "Reading inputs", "decode"),
        ("request_predict_seconds", "Running the model", "compute"),
        ("request_postprocess_seconds", "Writing outputs", "encode"),
    ] {
        to.family(name, Kind::Histogram, help);
        // The models are in the order of their names: versions of one stand together.
        for versions in page.models.chunk_by(|one, next| one.name == next.name) {
            let mut figures = Histogram::default();
            for version in versions {
                let only = [("phase", phase)];
                version.add_to(&mut figures, "serin_request_phase_seconds", &only);
            }
            let labels = [("model_name", versions.first().map_or("", |one| one.name))];
            to.histogram(name, &labels, &figures);
        }
    }
}
