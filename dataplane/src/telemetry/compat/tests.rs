use std::sync::Arc;
use std::time::Duration;

use super::super::metrics::{Phases, RequestOutcome};
use super::super::{Exposition, Metrics};
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

fn page(metrics: &Arc<Metrics>, accept: Option<&str>) -> String {
    let (_, text) = Exposition::offering(Arc::clone(metrics), ALL.to_vec()).render(accept);
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn a_gauge_that_an_endpoint_picker_reads_has_one_series_summed_over_the_models() {
    let metrics = metrics();
    let _held = [
        metrics.model("iris", Some("1")).enter(),
        metrics.model("fraud", None).enter(),
    ];
    metrics.model("fraud", None).enqueued();
    let page = page(&metrics, None);
    for (name, value) in [
        ("num_requests_waiting", "1"),
        ("num_requests_running", "1"),
        ("kv_cache_usage_perc", "0"),
    ] {
        let series: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with(&format!("vllm:{name}{{")))
            .collect();
        let expected = format!("vllm:{name}{{model_name=\"fraud\",engine=\"0\"}} {value}");
        assert_eq!(series, [expected]);
    }
    for name in ["vllm:cache_config_info{", "vllm:lora_requests_info{"] {
        assert_eq!(page.matches(name).count(), 1, "{page}");
    }
}

#[test]
fn tritons_counters_have_no_total_and_say_what_ours_say() {
    let page = page(&metrics(), None);
    for line in [
        "# TYPE nv_inference_request_success counter",
        "nv_inference_request_success{model=\"iris\",version=\"2\"} 1",
        "nv_inference_request_failure{model=\"iris\",version=\"1\",reason=\"REJECTED\"} 1",
        "nv_inference_request_failure{model=\"iris\",version=\"1\",reason=\"OTHER\"} 0",
        "nv_inference_count{model=\"iris\",version=\"1\"} 2",
        "nv_inference_exec_count{model=\"iris\",version=\"1\"} 1",
        "nv_inference_queue_duration_us{model=\"iris\",version=\"1\"} 1500",
        "nv_inference_request_duration_us{model=\"fraud\",version=\"7\"} 0",
    ] {
        assert!(page.contains(&format!("{line}\n")), "{line} not in {page}");
    }
    assert!(!page.contains("nope"), "{page}");
}

#[test]
fn kserves_histograms_are_summed_over_versions() {
    let page = page(&metrics(), None);
    for line in [
        "# TYPE request_predict_seconds histogram",
        "request_predict_seconds_bucket{model_name=\"iris\",le=\"0.001\"} 2",
        "request_predict_seconds_bucket{model_name=\"iris\",le=\"+Inf\"} 2",
        "request_predict_seconds_count{model_name=\"iris\"} 2",
        "request_predict_seconds_count{model_name=\"fraud\"} 0",
    ] {
        assert!(page.contains(&format!("{line}\n")), "{line} not in {page}");
    }
}

#[test]
fn both_formats_keep_their_rules() {
    let metrics = metrics();
    let open = page(&metrics, Some("application/openmetrics-text"));
    assert!(open.ends_with("# EOF\n"));
    assert_eq!(open.matches("# EOF").count(), 1);
    assert!(open.contains("# TYPE vllm:request_success counter\n"));
    assert!(open.contains("# TYPE nv_inference_count unknown\n"));
    let classic = page(&metrics, None);
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
    let (_, text) = Exposition::new(metrics()).render(None);
    let text = String::from_utf8(text.to_vec()).unwrap();
    for name in ["vllm:", "nv_", "request_predict_seconds"] {
        assert!(!text.contains(&format!("\n{name}")), "{name}");
    }
}
