//! Triton's names.

use super::page::{Histogram, Model, Page};
use super::writer::{Kind, Writer};

/// Reasons of `nv_inference_request_failure`, and our outcomes that they stand for.
const REASONS: [(&str, &[&str]); 4] = [
    ("REJECTED", &["rejected", "timeout"]),
    ("CANCELED", &["cancelled"]),
    ("BACKEND", &["error"]),
    ("OTHER", &["client_error"]),
];

pub(super) fn write(page: &Page<'_>, to: &mut Writer<'_>) {
    let mut family = |name: &str, kind, help: &str, value: &dyn Fn(&Model<'_>) -> f64| {
        to.family(name, kind, help);
        for model in &page.models {
            let labels = [("model", model.name), ("version", model.version)];
            to.sample(name, &labels, value(model));
        }
    };
    family(
        "nv_inference_request_success",
        Kind::BareCounter,
        "Requests that were answered",
        &|model| model.sum("serin_requests_total", &[("outcome", "ok")]),
    );
    family(
        "nv_inference_count",
        Kind::BareCounter,
        "Rows run",
        &|model| model.sum("serin_inferences_total", &[]),
    );
    family(
        "nv_inference_exec_count",
        Kind::BareCounter,
        "Runs of the model",
        &|model| model.sum("serin_executions_total", &[]),
    );
    family(
        "nv_inference_request_duration_us",
        Kind::BareCounter,
        "Microseconds from receiving a request to its last byte, of those that were answered",
        &|model| micros(model, "serin_request_duration_seconds", ("outcome", "ok")),
    );
    for (name, help, phase) in [
        ("queue", "Microseconds of waiting for the engine", "queue"),
        ("compute_input", "Microseconds of reading inputs", "decode"),
        (
            "compute_infer",
            "Microseconds of running the model",
            "compute",
        ),
        (
            "compute_output",
            "Microseconds of writing outputs",
            "encode",
        ),
    ] {
        family(
            &format!("nv_inference_{name}_duration_us"),
            Kind::BareCounter,
            help,
            &|model| micros(model, "serin_request_phase_seconds", ("phase", phase)),
        );
    }
    family(
        "nv_inference_pending_request_count",
        Kind::Gauge,
        "Requests waiting for the engine",
        &|model| model.sum("serin_queue_depth", &[]),
    );
    family(
        "nv_model_load_duration_secs",
        Kind::Gauge,
        "How long fetching, loading and warming up took",
        &|model| model.sum("serin_model_load_seconds", &[]),
    );
    let name = "nv_inference_request_failure";
    to.family(name, Kind::BareCounter, "Requests that were not answered");
    for model in &page.models {
        for (reason, outcomes) in REASONS {
            let labels = [
                ("model", model.name),
                ("version", model.version),
                ("reason", reason),
            ];
            let of = |outcome: &&str| model.sum("serin_requests_total", &[("outcome", outcome)]);
            to.sample(name, &labels, outcomes.iter().map(of).sum());
        }
    }
}

fn micros(model: &Model<'_>, histogram: &str, only: (&str, &str)) -> f64 {
    let mut figures = Histogram::default();
    model.add_to(&mut figures, histogram, &[only]);
    (figures.sum * 1e6).round()
}
