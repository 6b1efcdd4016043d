//! Triton's names.

use std::slice::from_ref;
use std::sync::Arc;

use super::sums::{durations, phases};
use super::writer::{Kind, Writer};
use crate::telemetry::metrics::{Figures, ModelMetrics, Phase};

/// Reasons of `nv_inference_request_failure`, and our outcomes that they stand for.
const REASONS: [(&str, &[&str]); 4] = [
    ("REJECTED", &["rejected", "timeout"]),
    ("CANCELED", &["cancelled"]),
    ("BACKEND", &["error"]),
    ("OTHER", &["client_error"]),
];

pub(super) fn write(models: &[Arc<ModelMetrics>], to: &mut Writer<'_>) {
    let mut family = |name: &str, kind, help: &str, value: &dyn Fn(&Arc<ModelMetrics>) -> f64| {
        to.family(name, kind, help);
        for model in models {
            let labels = [("model", model.name()), ("version", model.version())];
            to.sample(name, &labels, value(model));
        }
    };
    family(
        "nv_inference_request_success",
        Kind::BareCounter,
        "Requests that were answered",
        &|model| durations(from_ref(model), "ok").count() as f64,
    );
    family(
        "nv_inference_count",
        Kind::BareCounter,
        "Rows run",
        &|model| model.rows() as f64,
    );
    family(
        "nv_inference_exec_count",
        Kind::BareCounter,
        "Runs of the model",
        &|model| model.runs() as f64,
    );
    family(
        "nv_inference_request_duration_us",
        Kind::BareCounter,
        "Microseconds from receiving a request to its last byte, of those that were answered",
        &|model| micros(&durations(from_ref(model), "ok")),
    );
    for (name, help, phase) in [
        (
            "queue",
            "Microseconds of waiting for the engine",
            Phase::Queue,
        ),
        (
            "compute_input",
            "Microseconds of reading inputs",
            Phase::Decode,
        ),
        (
            "compute_infer",
            "Microseconds of running the model",
            Phase::Compute,
        ),
        (
            "compute_output",
            "Microseconds of writing outputs",
            Phase::Encode,
        ),
    ] {
        family(
            &format!("nv_inference_{name}_duration_us"),
            Kind::BareCounter,
            help,
            &|model| micros(&phases(from_ref(model), phase)),
        );
    }
    family(
        "nv_inference_pending_request_count",
        Kind::Gauge,
        "Requests waiting for the engine",
        &|model| model.waiting() as f64,
    );
    family(
        "nv_model_load_duration_secs",
        Kind::Gauge,
        "How long fetching, loading and warming up took",
        &|model| model.load_seconds(),
    );
    let name = "nv_inference_request_failure";
    to.family(name, Kind::BareCounter, "Requests that were not answered");
    for model in models {
        for (reason, outcomes) in REASONS {
            let labels = [
                ("model", model.name()),
                ("version", model.version()),
                ("reason", reason),
            ];
            let of = |outcome: &&str| durations(from_ref(model), outcome).count();
            let failed: u64 = outcomes.iter().map(of).sum();
            to.sample(name, &labels, failed as f64);
        }
    }
}

fn micros(figures: &Figures) -> f64 {
    (figures.sum() * 1e6).round()
}
