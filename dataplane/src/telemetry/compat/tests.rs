use std::sync::Arc;
use std::time::Duration;

use super::super::metrics::{Phases, RequestOutcome};
use super::super::{Exposition, Samples};
use super::*;
use serin_core::types::Timing;

const ALL: [CompatMetrics; 3] = [
    CompatMetrics::Vllm,
    CompatMetrics::Triton,
    CompatMetrics::KServe,
];

fn metrics() -> Arc<Metrics> {
    let models = [("iris", "1"), ("iris", "2"), ("fraud", "7")]
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
    let metrics = Arc::new(Metrics::new(models));
    let finished = |outcome, code, timing| RequestOutcome {
        protocol: "rest",
        operation: "infer",
        outcome,
        code,
        duration: Duration::from_millis(3),
        phases: Phases {
            timing,
            ..Phases::default()
        },
        body_bytes: None,
        parts: None,
    };
    let timing = Timing {
        queue: Duration::from_micros(1500),
        compute: Duration::from_millis(1),
        batch_rows: 2,
        ..Timing::default()
    };
    for version in ["1", "2"] {
        let model = metrics.model("iris", Some(version));
        model.finished(&finished("ok", 200, Some(timing)));
        model.finished(&finished("rejected", 503, None));
        model.ran(2);
    }
    metrics
        .model("nope", None)
        .finished(&finished("client_error", 404, None));
    metrics
}

fn page(metrics: &Arc<Metrics>, open: bool) -> String {
    Exposition::offering(Arc::clone(metrics), ALL.to_vec()).text(open)
}

#[test]
fn a_gauge_that_an_endpoint_picker_reads_has_one_series_summed_over_the_models() {
    let metrics = metrics();
    let _held = [
        metrics.model("iris", Some("1")).enter(),
        metrics.model("fraud", None).enter(),
    ];
    metrics.model("fraud", None).enqueued();
    let page = page(&metrics, false);
    for (name, value) in [
        ("num_requests_waiting", 1.0),
        ("num_requests_running", 1.0),
        ("kv_cache_usage_perc", 0.0),
    ] {
        let labels = [("model_name", "fraud"), ("engine", "0")];
        let found = Samples::read(&page).get(&format!("vllm:{name}"), &labels);
        assert_eq!(found, Some(value), "{name}");
        assert_eq!(page.matches(&format!("\nvllm:{name}{{")).count(), 1);
    }
    for name in ["vllm:cache_config_info{", "vllm:lora_requests_info{"] {
        assert_eq!(page.matches(name).count(), 1, "{page}");
    }
}

#[test]
fn tritons_counters_have_no_total_and_show_serins_figures() {
    let page = page(&metrics(), false);
    assert!(page.contains("# TYPE nv_inference_request_success counter\n"));
    let samples = Samples::read(&page);
    for (name, model, version, value) in [
        ("request_success", "iris", "2", 1.0),
        ("count", "iris", "1", 2.0),
        ("exec_count", "iris", "1", 1.0),
        ("queue_duration_us", "iris", "1", 1500.0),
        ("request_duration_us", "fraud", "7", 0.0),
    ] {
        let labels = [("model", model), ("version", version)];
        let found = samples.get(&format!("nv_inference_{name}"), &labels);
        assert_eq!(found, Some(value), "{name}");
    }
    for (reason, value) in [("REJECTED", 1.0), ("OTHER", 0.0)] {
        let labels = [("model", "iris"), ("version", "1"), ("reason", reason)];
        let found = samples.get("nv_inference_request_failure", &labels);
        assert_eq!(found, Some(value), "{reason}");
    }
    assert!(!page.contains("nope"), "{page}");
}

#[test]
fn kserves_histograms_are_summed_over_versions() {
    let page = page(&metrics(), false);
    assert!(page.contains("# TYPE request_predict_seconds histogram\n"));
    let samples = Samples::read(&page);
    for bound in ["0.001", "+Inf"] {
        let labels = [("model_name", "iris"), ("le", bound)];
        let found = samples.get("request_predict_seconds_bucket", &labels);
        assert_eq!(found, Some(2.0), "{bound}");
    }
    for (model, value) in [("iris", 2.0), ("fraud", 0.0)] {
        let found = samples.get("request_predict_seconds_count", &[("model_name", model)]);
        assert_eq!(found, Some(value), "{model}");
    }
}

#[test]
fn both_formats_keep_their_rules() {
    let metrics = metrics();
    let open = page(&metrics, true);
    assert!(open.ends_with("# EOF\n"));
    assert_eq!(open.matches("# EOF").count(), 1);
    assert!(open.contains("# TYPE vllm:request_success counter\n"));
    assert!(open.contains("# TYPE nv_inference_count unknown\n"));
    let classic = page(&metrics, false);
    assert!(classic.contains("# TYPE vllm:request_success_total counter\n"));
    assert!(!classic.contains(" unknown\n"));
    for text in [open, classic] {
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a family is written twice");
    }
}

#[test]
fn names_that_are_not_asked_for_are_not_there() {
    let text = Exposition::new(metrics()).text(false);
    for name in ["vllm:", "nv_", "request_predict_seconds"] {
        assert!(!text.contains(&format!("\n{name}")), "{name}");
    }
}

/// The part of a page after Serin's own names, with every kind of figure in it and without the one
/// line that holds the time.
fn golden(open: bool) -> String {
    let models = [("iris", "1"), ("iris", "2"), ("a \"quoted\", \\name", "7")]
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
    let metrics = Arc::new(Metrics::new(models));
    let finished = |protocol, operation, outcome, code, millis, ran: bool| RequestOutcome {
        protocol,
        operation,
        outcome,
        code,
        duration: Duration::from_millis(millis),
        phases: Phases {
            decode: Duration::from_micros(250),
            timing: ran.then_some(Timing {
                queue: Duration::from_micros(1500),
                compute: Duration::from_millis(1),
                batch_rows: 2,
                ..Timing::default()
            }),
            encode: Duration::from_micros(500),
        },
        body_bytes: None,
        parts: None,
    };
    for (name, version) in [("iris", "1"), ("iris", "2"), ("a \"quoted\", \\name", "7")] {
        let model = metrics.model(name, Some(version));
        model.finished(&finished("rest", "infer", "ok", 200, 3, true));
        model.finished(&finished("grpc", "infer", "ok", 200, 40, true));
        model.finished(&finished("rest", "stream", "ok", 200, 70_000, false));
        model.finished(&finished("rest", "infer", "rejected", 503, 1, false));
        model.finished(&finished("rest", "infer", "timeout", 504, 1, false));
        model.finished(&finished("grpc", "infer", "cancelled", 499, 1, false));
        model.finished(&finished("rest", "infer", "error", 500, 1, true));
        model.finished(&finished("rest", "infer", "client_error", 400, 1, false));
        model.loaded(Duration::from_millis(1250), "onnx_onnxruntime", "sha256:0");
        model.ran(3);
    }
    metrics
        .model("nope", None)
        .finished(&finished("rest", "infer", "ok", 200, 3, true));
    let iris = metrics.model("iris", Some("1"));
    let _held = [iris.enter(), iris.enter()];
    iris.enqueued();
    let page = page(&metrics, open);
    let (_, theirs) = page.split_once("# HELP vllm:").unwrap();
    theirs
        .lines()
        .filter(|line| !line.starts_with("vllm:lora_requests_info{"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn pages_by_other_servers_names_are_these_to_the_byte() {
    for (open, expected) in [
        (false, include_str!("golden/classic.txt")),
        (true, include_str!("golden/openmetrics.txt")),
    ] {
        assert_eq!(golden(open), expected);
    }
}
